"""Statistics of detectors' scores: which difference is more than chance.

`bootstrap` resamples images, `delong` tests AUROCs in closed form, `pixels` keeps what pixel
metrics need of every image, `ranks` compares methods over many categories, `multiple` corrects for
many comparisons. Everything is seeded or exact: the same records give the same numbers.
"""
