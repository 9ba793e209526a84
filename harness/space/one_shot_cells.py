"""The fixed list of cells whose one-shot accuracy is measured: official indices, from the worst to the best.

One cell at random from each of 100 equal groups of all cells, sorted by their accuracy in the embedded truth table
(`tests/harness/search/test_diagnostics.py` makes the list again). It is data, so that no search reads a truth.
"""

ONE_SHOT_CELLS = (
    5320, 12925, 10571, 5170, 6001, 7214, 9966, 6211, 4425, 5818, 10196, 14388, 2721, 6395, 13817,
    10819, 386, 1214, 11055, 8511, 2803, 4596, 13542, 839, 12984, 14635, 15117, 11119, 6915, 5758,
    15266, 1426, 41, 6948, 6910, 14641, 5881, 236, 4774, 3983, 3127, 12740, 1075, 10905, 1095,
    4790, 3161, 11762, 2527, 15270, 12791, 9100, 287, 11997, 11319, 11615, 6323, 3923, 4247, 11715,
    11671, 8758, 8960, 198, 13588, 14114, 3566, 5716, 9120, 6381, 9697, 2633, 6997, 11505, 4838,
    3009, 4553, 7563, 8908, 4272, 598, 6099, 8842, 14221, 13959, 9921, 10563, 14742, 1088, 7550,
    3399, 9753, 2424, 293, 9215, 14204, 3300, 10063, 1, 13801,
)  # fmt: skip
