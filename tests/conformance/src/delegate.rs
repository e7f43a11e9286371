/// Writes methods of a [`Store`](unbroken::store::Store) that call the same method of a field.
///
/// A store that decorates another one names the methods that it hands on, and implements the others
/// itself. Put `#![deny(clippy::missing_trait_methods)]` at the top of the module, so that a new
/// method of the trait can't bypass the decorator.
///
/// ```
/// use unbroken::{
///     BoxFuture,
///     store::{Memory, Store, StoreError},
/// };
/// use unbroken_conformance::delegate_store;
///
/// #[derive(Debug)]
/// struct NeverSweeps(Memory);
///
/// impl Store for NeverSweeps {
///     delegate_store!(
///         0: durability, outlives_handle, create, claim, renew, append, append_now, read, changed, abort, answer, answers,
///         hold, delete, of_chat, list, orphans, endings, postpone_ending, delivered
///     );
///
///     fn sweep(&self, _: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
///         Box::pin(async { Ok(0) })
///     }
/// }
/// ```
#[macro_export]
macro_rules! delegate_store {
    ($field:tt: $($method:ident),* $(,)?) => { $($crate::delegate_store!(@$field $method);)* };
    (@$field:tt durability) => {
        fn durability(&self) -> $crate::__unbroken::store::Durability {
            self.$field.durability()
        }
    };
    (@$field:tt outlives_handle) => {
        fn outlives_handle(&self) -> bool {
            self.$field.outlives_handle()
        }
    };
    (@$field:tt create) => {
        $crate::delegate_store!(@$field create(
            id: &'a $crate::__unbroken::log::SessionId,
            new: $crate::__unbroken::store::NewSession,
        ) -> Created);
    };
    (@$field:tt claim) => {
        $crate::delegate_store!(@$field claim(
            id: &'a $crate::__unbroken::log::SessionId,
            seen: $crate::__unbroken::log::Epoch,
            token: $crate::__unbroken::store::Token,
            lease: ::std::time::Duration,
        ) -> Claimed);
    };
    (@$field:tt renew) => {
        fn renew<'a>(
            &'a self,
            owned: &'a [($crate::__unbroken::log::SessionId, $crate::__unbroken::log::Epoch)],
            lease: $crate::__unbroken::store::LeaseChange,
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::vec::Vec<
                ::std::result::Result<
                    $crate::__unbroken::store::SessionState,
                    $crate::__unbroken::store::StoreError,
                >,
            >,
        > {
            self.$field.renew(owned, lease)
        }
    };
    (@$field:tt append) => {
        $crate::delegate_store!(@$field append(
            id: &'a $crate::__unbroken::log::SessionId,
            chunk: $crate::__unbroken::log::Chunk,
            then: $crate::__unbroken::store::AfterAppend,
        ) -> Appended);
    };
    (@$field:tt append_now) => {
        fn append_now(
            &self,
            id: &$crate::__unbroken::log::SessionId,
            chunk: &$crate::__unbroken::log::Chunk,
            then: $crate::__unbroken::store::AfterAppend,
        ) -> ::std::option::Option<
            ::std::result::Result<
                $crate::__unbroken::store::Appended,
                $crate::__unbroken::store::StoreError,
            >,
        > {
            self.$field.append_now(id, chunk, then)
        }
    };
    (@$field:tt read) => {
        $crate::delegate_store!(@$field read(
            id: &'a $crate::__unbroken::log::SessionId,
            after: $crate::__unbroken::log::Position,
            max_bytes: usize,
        ) -> RecordPage);
    };
    (@$field:tt changed) => {
        $crate::delegate_store!(@$field changed(
            id: &'a $crate::__unbroken::log::SessionId,
            seen: $crate::__unbroken::store::Seen,
            within: ::std::time::Duration,
        ) -> SessionState);
    };
    (@$field:tt abort) => {
        $crate::delegate_store!(@$field abort(
            id: &'a $crate::__unbroken::log::SessionId,
            abort: $crate::__unbroken::store::AbortRequest,
        ) -> SessionState);
    };
    (@$field:tt answer) => {
        $crate::delegate_store!(@$field answer(
            id: &'a $crate::__unbroken::log::SessionId,
            answer: $crate::__unbroken::store::StoredAnswer,
        ) -> AnswerOutcome);
    };
    (@$field:tt answers) => {
        fn answers<'a>(
            &'a self,
            id: &'a $crate::__unbroken::log::SessionId,
            after: usize,
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::result::Result<
                ::std::vec::Vec<$crate::__unbroken::store::StoredAnswer>,
                $crate::__unbroken::store::StoreError,
            >,
        > {
            self.$field.answers(id, after)
        }
    };
    (@$field:tt hold) => {
        fn hold<'a>(
            &'a self,
            id: &'a $crate::__unbroken::log::SessionId,
            by: $crate::__unbroken::store::Holder,
            keep: ::std::time::Duration,
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::result::Result<(), $crate::__unbroken::store::StoreError>,
        > {
            self.$field.hold(id, by, keep)
        }
    };
    (@$field:tt delete) => {
        fn delete<'a>(
            &'a self,
            id: &'a $crate::__unbroken::log::SessionId,
            how: $crate::__unbroken::store::DeleteMode,
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::result::Result<(), $crate::__unbroken::store::StoreError>,
        > {
            self.$field.delete(id, how)
        }
    };
    (@$field:tt of_chat) => {
        fn of_chat<'a>(
            &'a self,
            owner: ::std::option::Option<&'a $crate::__unbroken::log::Owner>,
            chat: &'a $crate::__unbroken::log::ChatId,
            limit: usize,
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::result::Result<
                ::std::vec::Vec<$crate::__unbroken::store::Listed>,
                $crate::__unbroken::store::StoreError,
            >,
        > {
            self.$field.of_chat(owner, chat, limit)
        }
    };
    (@$field:tt list) => {
        $crate::delegate_store!(@$field list(
            filter: &'a $crate::__unbroken::store::Filter,
        ) -> Listing);
    };
    (@$field:tt orphans) => {
        fn orphans(
            &self,
            limit: usize,
        ) -> $crate::__unbroken::BoxFuture<
            '_,
            ::std::result::Result<
                ::std::vec::Vec<$crate::__unbroken::store::Listed>,
                $crate::__unbroken::store::StoreError,
            >,
        > {
            self.$field.orphans(limit)
        }
    };
    (@$field:tt endings) => {
        fn endings<'a>(
            &'a self,
            service: &'a $crate::__unbroken::log::ServiceName,
            limit: usize,
            lease: ::std::time::Duration,
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::result::Result<
                ::std::vec::Vec<$crate::__unbroken::store::PendingEnding>,
                $crate::__unbroken::store::StoreError,
            >,
        > {
            self.$field.endings(service, limit, lease)
        }
    };
    (@$field:tt postpone_ending) => {
        fn postpone_ending<'a>(
            &'a self,
            id: &'a $crate::__unbroken::log::SessionId,
            delivery: u32,
            by: ::std::time::Duration,
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::result::Result<(), $crate::__unbroken::store::StoreError>,
        > {
            self.$field.postpone_ending(id, delivery, by)
        }
    };
    (@$field:tt delivered) => {
        fn delivered<'a>(
            &'a self,
            id: &'a $crate::__unbroken::log::SessionId,
            sealed_by: $crate::__unbroken::log::Epoch,
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::result::Result<(), $crate::__unbroken::store::StoreError>,
        > {
            self.$field.delivered(id, sealed_by)
        }
    };
    (@$field:tt sweep) => {
        fn sweep(
            &self,
            limit: usize,
        ) -> $crate::__unbroken::BoxFuture<
            '_,
            ::std::result::Result<usize, $crate::__unbroken::store::StoreError>,
        > {
            self.$field.sweep(limit)
        }
    };
    (@$field:tt $method:ident($($name:ident: $Type:ty,)*) -> $Answer:ident) => {
        fn $method<'a>(
            &'a self,
            $($name: $Type),*
        ) -> $crate::__unbroken::BoxFuture<
            'a,
            ::std::result::Result<
                $crate::__unbroken::store::$Answer,
                $crate::__unbroken::store::StoreError,
            >,
        > {
            self.$field.$method($($name),*)
        }
    };
}
