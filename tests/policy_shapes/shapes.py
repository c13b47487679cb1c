"""The schedulers whose shape is written down here, by file name."""

SHAPES = (
    "bcedge",
    "clockwork",
    "delen",
    "edgesight_speculative",
    "harmonybatch",
    "hidp",
    "proteus",
    "sneakpeek",
    "tangram",
    "vae_codec",
    "willump",
    "workload_distribution",
)
