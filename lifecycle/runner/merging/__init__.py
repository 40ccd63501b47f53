"""Two accounts, or two people, that turn out to be one: shown beforehand, then done, and nothing is sent again."""
