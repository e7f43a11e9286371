//! The cases, by what they are about, and the one list of them all.

pub(super) mod answer;
pub(super) mod append;
pub(super) mod claim;
pub(super) mod create;
pub(super) mod end;
pub(super) mod list;
pub(super) mod read;
pub(super) mod wait;

/// Hands the list of all cases to a macro, after what the macro is given here.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_store_case {
    ($then:ident!()) => {
        $crate::for_each_store_case!(@ [$then] []);
    };
    ($root:tt::$then:ident!($($given:tt)*)) => {
        $crate::for_each_store_case!(@ [$root::$then] [$($given)*;]);
    };
    (@ [$($then:tt)*] [$($given:tt)*]) => {
        $($then)*! {
            $($given)*
            create::a_new_session_is_empty_and_owned
            "create: a session with an empty log, owned by the caller"
            create::a_taken_id_is_not_created_again
            "create: under an id that is taken, Exists, and nothing changes"
            create::a_repeated_create_gets_the_same_epoch
            "create: repeated with the same token, the first answer's epoch"
            create::a_create_repeated_after_a_claim_finds_it_taken
            "create: repeatable for as long as nobody else has claimed"
            create::a_create_that_was_dropped_can_be_repeated
            "dropped futures: maybe applied, and every write can be repeated"
            create::nothing_is_created_under_a_tombstone
            "create: Gone under a tombstone"
            create::racing_creates_have_one_winner
            "create: atomic"
            create::an_id_that_never_was_is_not_found
            "every method: NotFound for an id that never was"
            claim::a_running_lease_keeps_claimants_away
            "claim: Held while the lease runs"
            claim::a_lease_that_ran_out_can_be_claimed
            "claim: a new epoch, the attempt counted, the request handed over"
            claim::a_claim_of_an_epoch_that_passed_is_held
            "claim: Held if the session is at another epoch"
            claim::a_repeated_claim_gets_the_same_epoch
            "claim: repeated with the same token, the same epoch"
            claim::a_repeated_claim_that_was_overtaken_is_held
            "claim: repeatable for as long as nobody else has claimed"
            claim::a_sealed_session_is_not_claimed
            "claim: Sealed"
            claim::a_format_from_the_future_is_refused
            "claim, read, changed: Unsupported for a format that the library does not know"
            claim::racing_claims_have_one_winner
            "claim: atomic"
            claim::a_claim_fences_the_former_owner
            "append: Fenced if the session is at another epoch"
            claim::a_renewal_extends_the_lease
            "renew: owned for the lease from now"
            claim::a_lease_given_back_can_be_claimed_at_once
            "renew: a lease of zero gives it back"
            claim::a_lease_that_ran_out_unclaimed_is_extended
            "renew: a lease that has run out but was not claimed is extended"
            claim::renewals_are_answered_one_by_one
            "renew: one answer for each entry, in order"
            append::records_come_back_as_they_were_appended
            "append: adds the records to the log"
            append::many_small_appends_come_back_as_they_were
            "append: adds the records to the log, however small"
            append::a_repeated_append_changes_nothing
            "append: a duplicate is a success, and nothing changes"
            append::a_repeated_append_succeeds_though_another_took_over
            "append: a duplicate comes before Fenced"
            append::the_same_place_by_another_epoch_is_no_repetition
            "append: a duplicate is of the same epoch"
            append::racing_repetitions_are_added_once
            "append: atomic"
            append::a_stale_epoch_is_told_so_before_anything_else
            "append: Fenced comes before Sealed, Rewound and Conflict"
            append::nothing_follows_the_terminal_event
            "append: Sealed"
            append::an_append_beyond_the_end_is_rewound
            "append: Rewound if it begins beyond the LSN after the tail"
            append::an_append_before_the_end_is_a_conflict
            "append: Conflict if it begins before the LSN after the tail"
            append::an_append_that_is_too_large_is_refused
            "append: TooLarge for a chunk that the engine can't take"
            append::an_append_extends_the_lease
            "append: extends the lease to its full length"
            append::an_append_tells_of_an_abort
            "append: tells of an abort that is stored"
            append::an_append_says_whether_the_session_waits
            "append: says how the session stands"
            append::a_seal_says_how_it_ended
            "append: a seal gives the outcome and frees the lease"
            read::a_page_begins_after_its_position
            "read: the records after a position"
            read::a_page_has_its_state_with_it
            "read: the state from the same snapshot"
            read::a_page_keeps_to_its_size
            "read: as many as fit into max_bytes"
            read::a_page_has_at_least_one_record
            "read: at least one record if there is any"
            read::a_position_past_the_tail_is_rewound
            "read: Rewound if the position's record is absent"
            read::a_position_of_another_epoch_is_rewound
            "read: Rewound if the position's record is of another epoch"
            read::a_chunk_is_of_one_epoch
            "read: a new chunk begins where the epoch changes"
            read::a_page_and_its_state_are_of_one_moment
            "read: records and state from one snapshot"
            read::a_record_that_can_not_be_read_is_corrupt
            "read: Corrupt if the first record after the position can't be read"
            wait::an_append_wakes_who_waits
            "changed: returns when the tail or the status moved on"
            wait::an_abort_wakes_the_owner
            "changed: returns when an abort was stored"
            wait::a_claim_wakes_who_waits
            "changed: returns when the epoch changed"
            wait::a_seal_wakes_an_owner
            "changed: returns when the session was sealed"
            wait::a_deletion_wakes_who_waits
            "changed: a deletion answers Gone"
            wait::a_change_from_before_the_wait_ends_it
            "changed: level-triggered"
            wait::no_change_is_missed_by_who_looks_again
            "changed: level-triggered, no wake-up lost"
            wait::a_wait_ends_at_its_limit
            "changed: returns after `within` at the latest"
            wait::a_wait_ends_after_two_seconds
            "changed: returns after two seconds at the latest"
            answer::an_answer_is_stored_for_the_owner
            "answer: left where the owner finds it, and nothing else changes"
            answer::answers_come_in_order_after_those_that_are_known
            "answers: in order, but for the first so many"
            answer::the_first_answer_stays
            "answer: Taken if there is another under its name"
            answer::the_same_answer_again_is_stored_once
            "answer: a repetition is a success, and nothing changes"
            answer::racing_answers_have_one_winner
            "answer: atomic"
            answer::a_session_takes_so_many_answers_and_no_more
            "answer: Full, by count"
            answer::a_session_takes_so_many_bytes_of_answers_and_no_more
            "answer: Full, by bytes"
            answer::an_answer_outlives_its_owner
            "answer: for the owner or whoever claims, whatever the lease"
            answer::answers_go_with_the_seal
            "answers: none once sealed; answer: Sealed"
            answer::a_new_session_has_no_answers_of_the_former
            "delete: answers go with the session"
            answer::an_answer_wakes_the_owner
            "changed: returns when an answer was stored"
            end::an_abort_is_stored
            "abort: stored for the owner or whoever claims"
            end::the_first_abort_stays
            "abort: the first abort's reason stays"
            end::a_sealed_session_is_not_aborted
            "abort: on a sealed session nothing changes"
            end::a_sealed_session_is_kept_to_its_end
            "append: a seal says for how long the session is kept"
            end::an_expired_session_is_gone_without_a_sweep
            "expiry is exact: gone, whether or not sweep has come by"
            end::an_unsealed_session_does_not_expire
            "hold: retention does not matter to a session that is not sealed"
            end::a_hold_keeps_a_session
            "hold: keeps a session for at least so long"
            end::a_hold_never_shortens
            "hold: only ever lengthens"
            end::a_hold_from_before_the_seal_counts
            "hold: keeps a session for at least so long from now, sealed or not"
            end::delete_now_asks_nobody
            "delete: Now, whoever reads it"
            end::a_release_waits_for_other_servers
            "delete: Held for Released while another server holds"
            end::deleting_again_is_a_success
            "delete: safe to repeat"
            end::a_deleted_session_leaves_a_tombstone
            "every method: Gone while the tombstone lasts"
            end::a_tombstone_runs_out
            "every method: NotFound after the tombstone"
            list::a_list_is_newest_first
            "list: newest first"
            list::a_list_has_what_its_filter_asks_for
            "list: sessions that match"
            list::pages_of_a_list_follow_one_another
            "list: pages"
            list::what_is_gone_is_not_listed
            "list: sessions, not tombstones"
            list::orphans_are_unsealed_and_without_an_owner
            "orphans: unsealed sessions whose lease is over"
            list::a_list_of_orphans_keeps_to_its_limit
            "orphans: up to limit"
            list::a_sweep_removes_what_has_expired
            "sweep: up to limit of what has expired, and nothing else"
        }
    };
}
