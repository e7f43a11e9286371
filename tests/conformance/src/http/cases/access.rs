use serde_json::json;

use crate::{
    http::{
        bed::{Bed, fresh},
        call::Call,
    },
    report::{Stop, ensure_eq},
};

fn two_callers(bed: &Bed) -> Result<(), Stop> {
    match bed.target.stranger {
        Some(_) => Ok(()),
        None => Err(Stop::NotApplicable(
            "the suite was told of no second caller".into(),
        )),
    }
}

pub(in crate::http) async fn what_is_anothers_looks_like_what_is_not_there(
    bed: Bed,
) -> Result<(), Stop> {
    two_callers(&bed)?;
    let name = fresh();
    let silent =
        json!({"tokens": 2, "delayMs": 0, "tally": name, "fault": {"at": 1, "kind": "hang"}});
    let (mine, absent) = (fresh(), fresh());
    let mut answer = bed
        .send(Call::script(&silent).under(&mine))
        .await?
        .expect(200)
        .await?;
    answer.events(2).await?;
    let calls = |id: &str| {
        [
            Call::get(id),
            Call::get(id).accept("application/json"),
            Call::get(id).accept("text/event-stream").after(1),
            Call::script(&silent).under(id).after(0),
            Call::abort(id),
            Call::delete(id),
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
    bed.send(Call::abort(&mine)).await?.expect(202).await?;
    bed.send(Call::delete(&mine)).await?.empty(204).await?;
    bed.send(Call::get(&mine).by_stranger())
        .await?
        .refused(404, "not-found")
        .await?;
    bed.send(Call::get(&mine))
        .await?
        .refused(410, "gone")
        .await?;
    Ok(())
}

pub(in crate::http) async fn a_strangers_id_can_not_be_taken(bed: Bed) -> Result<(), Stop> {
    two_callers(&bed)?;
    let script = json!({"text": "mine", "delayMs": 0});
    let (id, _) = bed.finished(&script).await?;
    let same = Call::script(&script).under(&id).by_stranger();
    bed.send(same).await?.refused(409, "id-in-use").await?;
    ensure_eq!(
        bed.whole(Call::get(&id)).await?.text(),
        "mine",
        "the answer"
    );
    Ok(())
}
