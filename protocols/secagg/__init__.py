"""`hpf-secagg/1`: the coordinator learns a sum and nothing else (docs/protocol.md).

The active-adversary variant of Bonawitz et al. (CCS 2017) on a complete graph, with pinned identities, commitments and
one-time keys per round. Everything here is pure: states are frozen values, a step takes bytes and a stamp (time and
numbers) and returns the next state and the envelopes to send. Entropy goes in at `member.join` and `member.mask` alone,
a vector at `member.mask` alone.

| module | says |
|---|---|
| `plan` | which n, t, k, c, d go together; what a noise plan is |
| `keys` | every digest and every key, each under its own label |
| `sharing` | Shamir over GF(2^256 + 297) |
| `recovery` | unmasking a sum, and who broke it |
| `masks` | the one hot loop |
| `moves` | one line of a table of transitions |
| `member` | a city: three checks out of four stand here |
| `collector` | the coordinator |
| `transcript` | what anyone can recompute |
"""
