"""Public tasks of mixed discrete-continuous action, written anew from their descriptions, as Gymnasium environments."""
