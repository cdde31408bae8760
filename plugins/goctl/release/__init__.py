"""The composition root: what a run is made of, the gathering of facts by need, and the walk over the plan."""
