"""The toy kitchen: drawn dishes with recipes in words, any number of them, every ingredient's place known.

A data set for tests and for trying Savor offline. Dishes are composed from a pantry (`pantry`), put into
words (`wording`, `phrases`), drawn (`sprites`, `pictures`) and numbered (`generation`); `writing` puts
them on disk. Equal settings give equal dishes.
"""

from savor.datasets.toy_kitchen.generation import Dish, generate
from savor.datasets.toy_kitchen.regions import Region, decode_rle, encode_rle
from savor.datasets.toy_kitchen.writing import Layout, write

__all__ = ["Dish", "Layout", "Region", "decode_rle", "encode_rle", "generate", "write"]
