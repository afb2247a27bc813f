"""The paper's experiments on any survey: every model x every task x seeds, to one table and one page."""
