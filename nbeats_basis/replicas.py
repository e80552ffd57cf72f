"""Training steps that several devices share, under a `tf.distribute` strategy or none."""

import tensorflow as tf


def average(tensors: list) -> list:
    """Return the means over the replicas; without a strategy the tensors.

    Args:
        tensors: of a replica.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def apply_if(fine, optimizer, gradients: list, variables: list) -> None:
    """Apply gradients where all is fine, and change nothing where it is not.

    Args:
        fine: scalar bool, the same on every replica.
        optimizer: a built Keras optimizer.
        gradients: one a variable, the same on every replica.
        variables: of the network.
    """
    if not tf.distribute.has_strategy():
        tf.cond(fine, lambda: _apply(optimizer, gradients, variables), lambda: False)
        return
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    # replicas, even a single one, cannot meet inside a condition: apply in any case, then take back
    kept = [v.value for v in {id(v): v for v in [*variables, *optimizer.variables]}.values()]
    before = [tf.identity(v) for v in kept]
    optimizer.apply([g / replicas for g in gradients], variables)  # the optimizer adds them up
    context.merge_call(_take_back_unless, args=(fine, kept, before))


def _apply(optimizer, gradients, variables):
    optimizer.apply(gradients, variables)
    return True


def _take_back_unless(strategy, fine, kept, before) -> None:
    for variable, value in zip(kept, before, strict=True):
        strategy.extended.update(variable, _keep_if, args=(fine, value), group=False)


def _keep_if(variable, fine, before):
    variable.assign(tf.where(fine, variable, before))
