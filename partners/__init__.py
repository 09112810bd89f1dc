"""Who takes part, what keys and limits they hold, and on what terms they trade points."""
