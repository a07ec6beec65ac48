"""New chains of a verb: their number and length, their default sampler, their files and their numbers."""
