"""Where beets looks for a plugin of the name ``mirclr``; what it does is in `mirclr.beetsplug`.

beets takes a plugin for what it is by the module that its class says it is of, so the class is made here.
"""

from mirclr import beetsplug


class MirclrPlugin(beetsplug.MirclrPlugin):
    """Songs that sound alike, and what mirclr knows of each as fields."""
