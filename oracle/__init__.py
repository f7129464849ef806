"""From signed meter readings to posted, quorum-signed windows.

    messages      the 52 bytes that a meter signs            registry     whose meters they are
    intake        which messages count, and why others not   day          a day's readings as arrays
    validation, checks   readings that cannot be true        estimation   what is missing, and flagged so
    registers     reads of total counters                    history, localdays   past days; days of a zone
    windows, split       other lengths; exact shares         aggregate    registers to accounts
    posting       accounts to signed bytes                   cells, salts, tree, commitments, totals
                                                             proof of readings without publishing them
    node          one node's whole chain of these, and the quorum of several
    run_files     what a node keeps of a run, to open its readings and to forget them
    homes, forecasts     the measured community, and what its home agents expect of tomorrow
    pool, benches, bench, bench_city     signatures in several processes; `trellis bench meter`
    live          readings from a broker to a durable store; `commands` is `trellis oracle`

Everything but `homes` (it reads the package's files), `run_files`, `pool` and the bench is pure: no clock, no
file, no randomness.
"""
