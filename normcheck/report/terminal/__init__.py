"""What a terminal shows: the end of a run, an implementation, a card, a page of words, two runs compared."""
