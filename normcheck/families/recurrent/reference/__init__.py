"""The closed forms of recurrent nets: cells and their steps (`nets`), the normalizers inside them (`norms`)."""
