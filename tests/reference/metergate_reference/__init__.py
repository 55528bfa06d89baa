"""Reference model of the metrology and power quality, in double precision, written from the standards.

It exists to disagree with the meter: nothing here is shared with, or derived from, the meter's own code. It works
off-line on whole records (no causality, no fixed point, no budgets), so each clause can be written down as it reads.

Conventions, everywhere:

* times are positions on the sample clock: a float number of samples, 0 = first sample;
* phasors are RMS phasors; a component is ``sqrt(2) * rms * sin(order * theta(t) + phase)``;
* power is positive for import, reactive power is positive for a lagging (inductive) current while importing;
* a value that does not exist is ``None`` or ``nan``, never zero.
"""

CHANNELS = ("U1", "U2", "U3", "I1", "I2", "I3", "IN")
"""Order of the channels in a frame of samples."""
