"""Adam in one pass over each weight."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Adam(keras.optimizers.Adam):
    """Keras' Adam, its update of a weight fused into one operation instead of some fifteen.

    The same numbers up to rounding; memory is passed over once. A learning rate that is set ends its schedule.

    Args:
        learning_rate: number, or a Keras schedule. Defaults to 0.001.
        beta_1: decay of the mean of gradients. Defaults to 0.9.
        beta_2: decay of the mean of their squares. Defaults to 0.999.
        epsilon: added to the root of the mean square. Defaults to 1e-07.

    Source: Kingma & Ba 2015, algorithm 1 in the form of the end of section 2, with epsilon unscaled.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        if self.amsgrad:
            raise ValueError("`amsgrad` is for `keras.optimizers.Adam`. Received: amsgrad=True")
        self._set_rate = keras.Variable(
            float("nan"), trainable=False, dtype="float32", aggregation="only_first_replica", name="set_rate"
        )
        self._track_variable(self._set_rate)

    @property
    def learning_rate(self):
        """The present learning rate: what it was set to, else the schedule's."""
        rate = self._get_current_learning_rate()
        if not isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            return rate
        return tf.where(tf.math.is_nan(self._set_rate.value), rate, self._set_rate.value)

    @learning_rate.setter
    def learning_rate(self, rate):
        scheduled = isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
        if scheduled and not callable(rate):
            self._set_rate.assign(rate)
        else:
            self._set_rate.assign(float("nan"))
            keras.optimizers.Adam.learning_rate.fset(self, rate)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Compute what all weights share once, where Keras hands on the learning rate."""
        step = tf.cast(self.iterations + 1, "float32")
        beta_1, beta_2 = (tf.constant(beta, "float32") for beta in (self.beta_1, self.beta_2))
        shared = {
            "lr": tf.cast(learning_rate, "float32"),
            "beta1": beta_1,
            "beta2": beta_2,
            "beta1_power": beta_1**step,
            "beta2_power": beta_2**step,
            "epsilon": tf.constant(self.epsilon, "float32"),
        }
        super()._backend_update_step(grads, trainable_variables, shared)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Sum over replicas; without a strategy there is one, and TensorFlow's sum keeps every graph it was traced in for ever."""
        return (
            super()._all_reduce_sum_gradients(grads_and_vars)
            if tf.distribute.has_strategy()
            else grads_and_vars
        )

    def update_step(self, gradient, variable, learning_rate):
        """Update a weight and its two means.

        Args:
            gradient: of the weight.
            variable: the weight.
            learning_rate: scalars that the weights share, float32 by name.
        """
        number = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[number].value.handle,
            v=self._velocities[number].value.handle,
            grad=tf.cast(gradient, variable.dtype),
            **{name: tf.cast(scalar, variable.dtype) for name, scalar in learning_rate.items()},
        )
