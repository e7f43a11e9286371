//! The cases by subject, and the list of all.

pub(super) mod answer;
pub(super) mod append;
pub(super) mod claim;
pub(super) mod create;
pub(super) mod end;
pub(super) mod list;
pub(super) mod of_chat;
pub(super) mod outbox;
pub(super) mod read;
pub(super) mod wait;
pub(super) mod withdraw;

/// Calls a macro with the list of all cases, after the tokens that are given here.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_store_case {
    ($then:ident!()) => {
        $crate::for_each_store_case!(@ [$then] []);
    };
    ($root:tt::$then:ident!($($argument:tt)*)) => {
        $crate::for_each_store_case!(@ [$root::$then] [$($argument)*;]);
    };
    (@ [$($then:tt)*] [$($argument:tt)*]) => {
        $($then)*! {
            $($argument)*
            create::a_new_session_is_empty_and_owned
            "create: a new session has an empty log and is leased to the caller"
            create::an_id_in_use_is_not_created_again
            "create: Exists under an id in use, and nothing changes"
            create::a_repeated_create_gets_the_same_epoch
            "create: a repetition with the same token returns the same epoch"
            create::a_create_repeated_after_a_claim_is_exists
            "create: a repetition after another claim is Exists"
            create::a_dropped_create_can_be_repeated
            "every write: a dropped future may have been applied, and can be repeated"
            create::a_create_under_a_tombstone_is_gone
            "create: Gone under a tombstone"
            create::racing_creates_have_one_winner
            "create: atomic"
            create::an_unknown_id_is_not_found
            "every method: NotFound for an unknown id"
            claim::a_claim_during_a_lease_is_held
            "claim: Held while the lease runs"
            claim::an_expired_lease_can_be_claimed
            "claim: returns a new epoch and the request"
            claim::a_claim_after_an_owner_without_progress_counts
            "claim: counts the attempt of an owner who appended nothing"
            claim::a_claim_after_an_owner_with_progress_does_not_count
            "claim: an owner who appended costs no attempt"
            claim::a_claim_of_a_lease_given_back_does_not_count
            "claim: a lease that was given back costs no attempt"
            claim::a_claim_of_an_old_epoch_is_held
            "claim: Held if the session is at another epoch"
            claim::a_repeated_claim_gets_the_same_epoch
            "claim: a repetition with the same token returns the same epoch"
            claim::a_claim_repeated_after_another_claim_is_held
            "claim: a repetition after another claim is Held"
            claim::a_sealed_session_is_not_claimed
            "claim: Sealed for a sealed session"
            claim::a_later_format_is_unsupported
            "claim, read, changed: Unsupported for a format later than the library's"
            claim::racing_claims_have_one_winner
            "claim: atomic"
            claim::a_claim_fences_the_former_owner
            "append: Fenced if the session is at another epoch"
            claim::a_renewal_extends_the_lease
            "renew: the lease runs for the given time from now"
            claim::a_returned_lease_can_be_claimed_at_once
            "renew: GiveBack frees the lease"
            claim::an_expired_unclaimed_lease_can_be_renewed
            "renew: extends an expired lease that was not claimed"
            claim::renewals_are_answered_one_by_one
            "renew: one result for each entry, in order"
            append::records_are_read_as_they_were_appended
            "append: adds the records to the log"
            append::many_small_appends_are_read_in_order
            "append: adds the records to the log, however small"
            append::a_repeated_append_changes_nothing
            "append: a duplicate succeeds, and nothing changes"
            append::a_repeated_append_succeeds_after_a_claim
            "append: a duplicate succeeds even if the epoch is fenced"
            append::the_same_lsn_of_another_epoch_is_no_repetition
            "append: a duplicate has the same epoch"
            append::racing_repetitions_are_added_once
            "append: atomic"
            append::fenced_comes_before_other_refusals
            "append: Fenced takes precedence over Sealed, Rewound and Conflict"
            append::an_append_after_the_seal_is_sealed
            "append: Sealed after the seal"
            append::an_append_past_the_next_lsn_is_rewound
            "append: Rewound if it begins after the next LSN"
            append::an_append_before_the_next_lsn_is_a_conflict
            "append: Conflict if it begins before the next LSN"
            append::an_append_that_is_too_large_is_refused
            "append: TooLarge for a chunk over the limit of the engine"
            append::an_append_extends_the_lease
            "append: extends the lease to its full length"
            append::an_append_returns_a_stored_abort
            "append: returns a stored abort"
            append::an_append_sets_the_status
            "append: sets the status"
            append::a_seal_sets_the_outcome
            "append: a seal sets the outcome and frees the lease"
            read::a_page_begins_after_its_position
            "read: returns the records after a position"
            read::a_page_has_the_state
            "read: returns the state, too"
            read::a_page_keeps_to_max_bytes
            "read: returns as many records as fit into max_bytes"
            read::a_page_has_at_least_one_record
            "read: returns at least one record if there is any"
            read::a_position_past_the_tail_is_rewound
            "read: Rewound if the position's record is absent"
            read::a_position_of_another_epoch_is_rewound
            "read: Rewound if the position's record is of another epoch"
            read::a_chunk_is_of_one_epoch
            "read: a new chunk begins where the epoch changes"
            read::a_page_and_its_state_are_one_snapshot
            "read: records and state are one snapshot"
            read::an_unreadable_record_is_corrupt
            "read: Corrupt if the first record after the position can't be read"
            wait::an_append_wakes_waiters
            "changed: returns when the tail or the status changed"
            wait::a_lease_that_is_given_back_wakes_readers
            "changed: returns when a lease was given back"
            wait::an_abort_wakes_the_owner
            "changed: returns when an abort was stored"
            wait::a_claim_wakes_waiters
            "changed: returns when the epoch changed"
            wait::a_seal_wakes_an_owner
            "changed: returns when the session was sealed"
            wait::a_deletion_wakes_waiters
            "changed: Gone when the session was deleted"
            wait::a_change_from_before_the_wait_ends_it
            "changed: returns at once for an earlier change (level-triggered)"
            wait::repeated_waits_miss_no_change
            "changed: no wake-up is lost between two waits (level-triggered)"
            wait::a_wait_ends_at_its_limit
            "changed: returns after `within` at the latest"
            wait::a_wait_ends_after_two_seconds
            "changed: returns after two seconds at the latest"
            answer::an_answer_is_stored_for_the_owner
            "answer: stores the answer for the owner, and changes nothing else"
            answer::answers_come_in_order_after_a_count
            "answers: returns answers in order, without the given number of first ones"
            answer::the_first_answer_stays
            "answer: Taken if another answer has the name"
            answer::a_repeated_answer_is_stored_once
            "answer: a repetition succeeds, and nothing changes"
            answer::racing_answers_have_one_winner
            "answer: atomic"
            answer::answers_are_limited_by_count
            "answer: Full over the limit of answers"
            answer::answers_are_limited_by_bytes
            "answer: Full over the limit of bytes"
            answer::an_answer_outlives_the_lease
            "answer: stored for the owner or the next claimant, with or without a lease"
            answer::a_seal_discards_answers
            "answers: none once sealed; answer: Sealed"
            answer::a_recreated_session_has_no_answers
            "delete: removes the answers of the session"
            answer::an_answer_wakes_the_owner
            "changed: returns when an answer was stored"
            end::an_abort_is_stored
            "abort: stored for the owner or the next claimant"
            end::the_first_abort_stays
            "abort: the reason of the first abort stays"
            end::a_sealed_session_is_not_aborted
            "abort: changes nothing of a sealed session"
            end::a_state_tells_the_time_since_the_end
                "state: `ended` is the time since the seal, and `None` before it"
            end::a_sealed_session_is_kept_for_its_retention
            "append: a seal sets the retention"
            end::an_expired_session_is_gone_without_a_sweep
            "every method: Gone from the moment of expiry, swept or not"
            end::an_unsealed_session_does_not_expire
            "hold: does not make an unsealed session expire"
            end::a_hold_keeps_a_session
            "hold: keeps a session for at least the given time"
            end::a_hold_never_shortens_the_retention
            "hold: never shortens the retention"
            end::a_hold_from_before_the_seal_counts
            "hold: counts from now, sealed or not"
            end::delete_now_ignores_holds
            "delete: Now ignores holds"
            end::delete_released_respects_other_holders
            "delete: Held for Released while another holder's time runs"
            end::a_repeated_deletion_is_a_success
            "delete: can be repeated"
            end::a_deleted_session_leaves_a_tombstone
            "every method: Gone while the tombstone lasts"
            end::an_expired_session_leaves_the_same_tombstone
            "every method: Gone with owner and digest once the retention is over, swept or not"
            end::a_tombstone_expires
            "every method: NotFound after the tombstone"
            withdraw::a_withdrawn_session_was_never_there
            "delete: Withdrawn leaves nothing"
            withdraw::the_id_of_a_withdrawn_session_is_free
            "delete: Withdrawn frees the id at once"
            withdraw::only_the_owner_withdraws
            "delete: Fenced for Withdrawn at another epoch"
            withdraw::a_session_without_a_lease_is_withdrawn
            "delete: Withdrawn doesn't depend on the lease"
            withdraw::a_sealed_session_is_not_withdrawn
            "delete: Sealed for Withdrawn after the seal; Fenced comes before it"
            withdraw::a_tombstone_is_not_withdrawn
            "delete: Gone for Withdrawn under a tombstone"
            withdraw::a_repeated_withdrawal_is_not_found
            "delete: NotFound for a repeated Withdrawn, Fenced if the id has a new session"
            withdraw::a_withdrawal_wakes_waiters
            "changed: NotFound when the session was withdrawn"
            withdraw::a_withdrawal_and_a_seal_have_one_winner
            "delete: Withdrawn is atomic"
            withdraw::a_withdrawn_session_of_a_chat_hides_no_other
            "of_chat: a withdrawn session takes no place within `limit`"
            list::a_list_is_newest_first
            "list: newest first"
            list::a_list_matches_its_filter
            "list: returns the sessions that match the filter"
            list::pages_of_a_list_have_every_session_once
            "list: pages follow one another"
            list::pages_of_a_filter_have_its_sessions_once
            "list: pages of every filter follow one another to the end"
            list::deleted_and_expired_sessions_are_not_listed
            "list: returns no tombstones"
            of_chat::a_chat_has_the_sessions_of_its_owner_only
            "of_chat: returns the sessions of the owner in the chat, and no others"
            of_chat::names_of_any_bytes_tell_owners_and_chats_apart
            "of_chat, list: names of owners and chats have 128 bytes of any text, and are compared byte by byte"
            of_chat::sessions_of_others_hide_none
            "of_chat: sessions of other owners take no place within `limit`"
            of_chat::a_chat_without_an_owner_has_sessions_without_an_owner
            "of_chat: without an owner, returns sessions without an owner"
            of_chat::running_sessions_of_a_chat_come_first
            "of_chat: up to `limit` sessions; running ones first, newest first in both groups"
            of_chat::a_waiting_session_of_a_chat_counts_as_running
            "of_chat: a session that waits counts as running"
            of_chat::deleted_and_expired_sessions_of_a_chat_are_not_found
            "of_chat: returns no tombstones"
            list::orphans_are_unsealed_sessions_without_a_lease
            "orphans: returns unsealed sessions without a running lease"
            list::a_list_of_orphans_keeps_to_its_limit
            "orphans: returns up to `limit` sessions"
            outbox::a_seal_puts_the_ending_into_the_outbox
            "endings: a seal puts the ending there, with the request and the summary"
            outbox::a_session_without_an_outbox_has_no_ending
            "endings: none of a session without an outbox"
            outbox::an_ending_is_leased_to_one_caller
            "endings: nobody else gets an ending until its lease is over"
            outbox::endings_are_those_of_a_service
            "endings: returns those of the service"
            outbox::endings_keep_to_their_limit_and_order
            "endings: up to `limit`, those that were due first first"
            outbox::an_ending_is_postponed_by_its_taker
            "postpone_ending: sets the time from which it is taken again; Fenced for a former taker"
            outbox::a_delivered_ending_is_gone
            "delivered: removes the ending, and can be repeated"
            outbox::a_session_is_kept_until_its_ending_is_delivered
            "delivered: until then the session doesn't expire, and Released is Held"
            outbox::the_ending_of_a_deleted_session_remains
            "delete: leaves the ending with its summary"
            outbox::a_delivery_is_that_of_one_seal
            "delivered: removes only the ending that the epoch has sealed"
            outbox::a_fenced_seal_has_no_ending
            "endings: none of a seal that was refused"
            outbox::callers_at_once_take_different_endings
            "endings: no two callers get one"
            outbox::a_deleted_session_is_hidden_while_its_ending_waits
            "delete: Gone and unlisted at once, also while the ending waits"
            outbox::a_late_delivery_leaves_a_tombstone
            "delivered: the tombstone begins, if the session was kept only for its ending"
            outbox::dropped_endings_keep_no_others_waiting
            "endings: those that are dropped count in no limit"
            outbox::an_ending_is_dropped_after_its_time
            "endings: dropped after the time in the session's meta"
            list::a_sweep_removes_what_has_expired
            "sweep: removes up to `limit` expired sessions and tombstones, and nothing else"
        }
    };
}
