"""What the subcommands of `inbetween` do."""
