"""How test cases are drawn: spaces of choices, recipes from a draw to a case, unusual sizes."""
