use serde_json::json;

use crate::{
    http::{
        fixture::{HttpFixture, fresh},
        request::TestRequest,
    },
    report::{CaseStop, ensure_eq},
};

fn two_callers(bed: &HttpFixture) -> Result<(), CaseStop> {
    match bed.target.stranger {
        Some(_) => Ok(()),
        None => Err(CaseStop::NotApplicable(
            "the suite was told of no second caller".into(),
        )),
    }
}

pub(in crate::http) async fn what_is_anothers_looks_like_what_is_not_there(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    two_callers(&bed)?;
    let name = fresh();
    let silent =
        json!({"tokens": 2, "delayMs": 0, "tally": name, "fault": {"at": 1, "kind": "hang"}});
    let (mine, absent) = (fresh(), fresh());
    let mut answer = bed
        .send(TestRequest::script(&silent).under(&mine))
        .await?
        .expect(200)
        .await?;
    answer.events(2).await?;
    let calls = |id: &str| {
        [
            TestRequest::get(id),
            TestRequest::get(id).accept("application/json"),
            TestRequest::get(id).accept("text/event-stream").after(1),
            TestRequest::script(&silent).under(id).after(0),
            TestRequest::abort(id),
            TestRequest::delete(id),
        ]
    };
    for (there, nowhere) in calls(&mine).into_iter().zip(calls(&absent)) {
        let there = bed
            .send(there.by_stranger())
            .await?
            .refused(404, "not-found")
            .await?;
        let nowhere = bed
            .send(nowhere.by_stranger())
            .await?
            .refused(404, "not-found")
            .await?;
        ensure_eq!(
            there,
            nowhere,
            "the refusals of what is another's and what isn't there"
        );
    }
    ensure_eq!(
        bed.tally(&name).await?.running,
        1,
        "the session that a stranger wants to stop"
    );
    bed.send(TestRequest::abort(&mine))
        .await?
        .expect(202)
        .await?;
    bed.send(TestRequest::delete(&mine))
        .await?
        .empty(204)
        .await?;
    bed.send(TestRequest::get(&mine).by_stranger())
        .await?
        .refused(404, "not-found")
        .await?;
    bed.send(TestRequest::get(&mine))
        .await?
        .refused(410, "gone")
        .await?;
    Ok(())
}

pub(in crate::http) async fn a_strangers_id_can_not_be_taken(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    two_callers(&bed)?;
    let script = json!({"text": "mine", "delayMs": 0});
    let (id, _) = bed.finished(&script).await?;
    let same = TestRequest::script(&script).under(&id).by_stranger();
    bed.send(same).await?.refused(409, "id-in-use").await?;
    ensure_eq!(
        bed.whole(TestRequest::get(&id)).await?.text(),
        "mine",
        "the answer"
    );
    Ok(())
}
