"""Recurrent nets with normalizers inside: the family's entries, cases and subjects."""
