"""Networks, data sets and injectors of a checkout of DL-Art-School, as components."""

from artschool.dlas.checkout import ORIGIN as ORIGIN
from artschool.dlas.checkout import Checkout as Checkout
from artschool.dlas.checkout import forget as forget
from artschool.dlas.uses import Uses as Uses
