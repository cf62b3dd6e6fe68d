"""The closed forms of recurrent nets: cells (`cells`), the norms inside them (`norms`), and all steps (`nets`)."""
