"""Where messages lie that are not with the mailhub."""
