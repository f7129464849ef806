"""The audit: everything a deployment did, done again from its chain alone, and compared.

Nothing is believed but the chain's own bytes. What a node says is checked against what else it says: blocks
link, transactions hash to the blocks' roots and were signed by their senders, events hash to the receipts'
roots. Every call is then replayed by `settlement.reference`, a second implementation of all rules, and every
event, account, token slot, session and run must be what the replay gives.

    findings        what is checked, how often it held, and the first thing that did not
    node            questions to a node, many at once
    envelope        transactions, receipts and headers as the bytes that are hashed
    history         blocks in order, each consistent with itself and with the one before
    code            the contracts are the ones of this release
    administration  who may call what, by the AccessManager's events
    calldata        what a call says, in the reference's types
    told            what the Exchange should tell, and what it told
    replay          every call through the reference
    opinion         each proved session cleared again by the matcher
    state           what the chain stores, question by question
    sums            nothing is lost: cash, energy, certificates
    audit           all of it in turn
    cli             the command
"""
