"""The attack on the library's contract: random networks, run in every way there is, and compared.

``PYTHONPATH=tests:tests/helpers python -m fuzz --seed 1 --seconds 60`` tries new ones; pytest
has a fixed set. A case comes from one integer. All ways of running it must agree to the last bit,
and with `fastbp.reference` as far as rounding explains:

- `cases` draws them, from the networks of `architectures` and the trainers of `recipes`;
- `bits` runs one in many ways and compares, `ways` says which;
- `truth` compares with the twin, within the bound of `known`, which `layers`, `losses` and
  `updates` follow through a network and an optimizer;
- `plain` is the model of a trainer's state for random sequences of calls.
"""
