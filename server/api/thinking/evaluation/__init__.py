"""The evaluation of a served model, for the picture of accuracy against budget."""
