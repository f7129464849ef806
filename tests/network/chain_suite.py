"""Which tests of the chain run on validators, and how.

A network cannot be turned back to before a test, and its time only goes on. So tests that share a world run
in one process, and those that begin with a fresh one each in its own, with an Exchange and a day of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

SHARED: Mapping[str, tuple[str, ...]] = {
    "test_audit.py": (),
    "test_audit_lies.py": (),
    "test_client.py": ("ipc_and_priced_transactions_work_too",),
    "test_deploy.py": (),
}
"""Modules whose tests share one world and do not turn it back, and tests of them that need anvil's socket."""

ALONE: Mapping[str, tuple[str, ...]] = {
    "test_anyone_settles.py": (),
    "test_audit_days.py": ("a_session_is_audited_at_every_stage",),
    "test_audit_later_runs.py": (),
    "test_audit_sums.py": (),
    "test_bad_input.py": (),
    "test_bad_postings.py": (),
    "test_bad_prices.py": (),
    "test_challenge_command.py": (),
    "test_challenges.py": (
        "whoever_is_right_is_corrected_on_the_spot_and_paid_by_the_oracles[london]",
        "whoever_holds_back_a_later_read_loses_what_it_set_at_stake[london]",
    ),
    "test_claim_command.py": (),
    "test_corrections.py": (
        "a_late_actual_changes_the_next_run_and_no_earlier_one",
        "runs_link_to_everything_before_and_each_nets_to_zero",
    ),
    "test_history.py": (),
    "test_omission.py": (
        "an_omitted_order_is_paid_and_the_audit_follows",
        "a_void_session_pays_and_a_forced_order_makes_it_void",
    ),
    "test_resume.py": ("an_operator_goes_on_after_any_step[1]",),
}
"""Modules whose tests each begin with a fresh world, and those of them that are chosen."""

EMBEDDED: Mapping[str, str] = {
    "test_anvil.py": "is about anvil",
    "test_audit_tampering.py": "changes code and storage behind the chain's back",
    "test_audit_storage.py": "compares with a dump of the state, which only anvil gives",
    "test_chain_abi.py": "asks no chain",
    "test_correction_zones.py": "homes as measured, on the days that they were measured",
    "test_demo.py": "the demo's own chain; on validators test_homes_day.py has it",
    "test_demo_places.py": "chains that the demo finds; on validators test_homes_day.py has it",
    "test_demo_runs.py": "the demo's own chain",
    "test_gas_snapshot.py": "gas to the last unit, by anvil's blocks",
    "test_generated_month.py": "a month of days, each settled in its turn",
    "test_keys.py": "is about keystores and signers",
    "test_network_check.py": "the check of an anvil; on validators test_life.py has it",
    "test_oracle_services.py": "services killed at every write, on a chain that is turned back",
    "test_outbox.py": "a sender killed between writing and sending, by anvil's way to hold blocks back",
    "test_session_keys.py": "days of their own, some turned back",
    "test_tree_limits.py": "asks no chain",
    "test_tree_resume.py": "a tree of zones whose day is fixed",
}
"""Why these do not run on validators."""
