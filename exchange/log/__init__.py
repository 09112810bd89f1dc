"""The transparency log: hashing, leaves, checkpoints and proofs."""
