"""Settings that every test shares."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# A shell that runs this in its background ignores SIGINT, nohup ignores SIGHUP, and so
# would every process of a test that is to be ended by them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A loaded machine makes single examples slow; what bounds a test is pytest's timeout.
# Derandomized, so that a red run is red again; new ground is `make fuzz`'s work.
settings.register_profile(
    "stem_actor",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("stem_actor")
