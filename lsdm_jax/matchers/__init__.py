"""The matchers. To add one, write a file here with a subclass of `Matcher`, add the class to ALL below, and its own
settings to `lsdm_jax.settings`.

Nothing else has to change: the settings become a section of the config, under the matcher's name.
"""

from lsdm_jax.matchers.critic import CriticMatcher
from lsdm_jax.matchers.energy import EnergyMatcher
from lsdm_jax.matchers.flow import FlowMatcher
from lsdm_jax.matchers.gmm import MixtureMatcher
from lsdm_jax.matchers.prior import PriorMatcher
from lsdm_jax.matchers.score import ScoreMatcher
from lsdm_jax.matchers.sinkhorn import SinkhornMatcher
from lsdm_jax.matchers.vae import VAEMatcher

ALL = (
    CriticMatcher,
    EnergyMatcher,
    FlowMatcher,
    MixtureMatcher,
    PriorMatcher,
    ScoreMatcher,
    SinkhornMatcher,
    VAEMatcher,
)
MATCHERS = {matcher.NAME: matcher for matcher in ALL}
