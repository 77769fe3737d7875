//! Branches that a DBA has completed, and sessions that are lost.

use datafusion_landfall::SinkOptions;
use datafusion_landfall::backend::conformance::{columns, rows};
use datafusion_landfall::backend::{Backend, Capability, Protocol, Resolution, Vote, WriteSpec};
use datafusion_landfall::error::ErrorKind;
use datafusion_landfall::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobId, JobNumber, Positions, Xid};
use datafusion_landfall_oracle::Oracle;

use crate::conformance::landing;

fn xid() -> Xid {
    Xid { gtrid: Gtrid::new(JobNumber::draw(), Epoch(1), uuid::Uuid::nil()), bqual: 0 }
}

async fn prepared(oracle: &Oracle) -> Xid {
    let (xid, spec) = (xid(), WriteSpec { protocol: Protocol::TwoPhase, ..WriteSpec::new("landing", columns()) });
    let mut branch = oracle.start(&xid, &spec).await.unwrap();
    branch.write(rows(0..3)).await.unwrap();
    assert_eq!(branch.prepare().await.unwrap(), Vote::Prepared);
    xid
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dba_has_done_to_a_branch_reaches_the_user() {
    for (code, part) in [(6, "ROLLBACK FORCE"), (5, "XA_HEURMIX"), (8, "XA_HEURHAZ")] {
        let (_folder, double, oracle) = landing(&SinkOptions::new());
        let xid = prepared(&oracle).await;
        double.force(code);
        let error = oracle.commit(&xid).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.kind(), ErrorKind::Database);
    }
    // If the DBA has committed what was decided to be committed, the branch is done.
    let (_folder, double, oracle) = landing(&SinkOptions::new());
    let xid = prepared(&oracle).await;
    double.force(7);
    assert_eq!(oracle.commit(&xid).await.unwrap(), Resolution::Done);
    assert_eq!(oracle.commit(&xid).await.unwrap(), Resolution::Unknown);
    let xid = prepared(&oracle).await;
    double.force(7);
    let error = oracle.rollback(&xid).await.unwrap_err();
    assert!(error.to_string().contains("COMMIT FORCE"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_a_dba_has_completed_is_not_taken_for_done() {
    for (state, commit, rollback) in [
        ("forced rollback", Some("ROLLBACK FORCE"), None),
        ("forced commit", None, Some("COMMIT FORCE")),
        ("committed", None, None),
    ] {
        let (_folder, double, oracle) = landing(&SinkOptions::new());
        let xid = prepared(&oracle).await;
        double.complete_by_hand(state);
        for (done, expected) in [(oracle.commit(&xid).await, commit), (oracle.rollback(&xid).await, rollback)] {
            match (done, expected) {
                (Ok(done), None) => assert_eq!(done, Resolution::Unknown, "{state}"),
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{state}: {error}"),
                (done, expected) => panic!("{state}: {done:?}, not {expected:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_without_privileges_cannot_be_prepared() {
    let (_folder, double, oracle) = landing(&SinkOptions::new());
    double.revoke();
    assert_eq!(oracle.capability().await.unwrap(), Capability::TwoPhase { branches: 0 });
    assert!(oracle.how_to_prepare().unwrap().contains("GRANT EXECUTE ON SYS.DBMS_XA"));
    let spec = WriteSpec { protocol: Protocol::TwoPhase, ..WriteSpec::new("landing", columns()) };
    let error = oracle.start(&xid(), &spec).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Access);
    assert!(error.to_string().contains("GRANT EXECUTE ON SYS.DBMS_XA"), "{error}");
    assert_eq!(oracle.in_doubt(None).await.unwrap_err().kind(), ErrorKind::Access);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_branch_leaves_nothing() {
    let (_folder, double, oracle) = landing(&SinkOptions::new());
    let spec = WriteSpec { protocol: Protocol::TwoPhase, ..WriteSpec::new("landing", columns()) };
    let mut branch = oracle.start(&xid(), &spec).await.unwrap();
    branch.write(rows(0..3)).await.unwrap();
    assert_eq!(double.open_branches(), 1);
    drop(branch);
    for _ in 0..200 {
        if double.open_branches() == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!((double.open_branches(), double.committed("SELECT count(*) FROM LANDING")), (0, vec!["0".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_used_again_after_a_rollback() {
    for protocol in [Protocol::OnePhase, Protocol::TwoPhase] {
        let (_folder, double, oracle) = landing(&SinkOptions::new());
        let spec = WriteSpec { protocol, ..WriteSpec::new("landing", columns()) };
        for _ in 0..2 {
            let mut branch = oracle.start(&xid(), &spec).await.unwrap();
            branch.write(rows(0..3)).await.unwrap();
            branch.flush().await.unwrap();
            branch.rollback().await.unwrap();
        }
        let mut branch = oracle.start(&xid(), &spec).await.unwrap();
        branch.write(rows(3..4)).await.unwrap();
        branch.commit_one_phase(None).await.unwrap();
        assert_eq!(double.committed("SELECT ID FROM LANDING"), ["3"], "{protocol:?}");
        // A session may come back to the pool a moment after its rollback.
        assert!(double.sessions() < 3, "{protocol:?}: {} sessions", double.sessions());
        assert_eq!(double.open_branches(), 0, "{protocol:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_of_one_transaction_end_apart() {
    let (_folder, double, oracle) = landing(&SinkOptions::new());
    let spec = WriteSpec { protocol: Protocol::TwoPhase, ..WriteSpec::new("landing", columns()) };
    let (first, mut open) = (xid(), Vec::new());
    let second = Xid { bqual: 1, ..first };
    for (xid, ids) in [(first, 0..2), (second, 2..5)] {
        let mut branch = oracle.start(&xid, &spec).await.unwrap();
        branch.write(rows(ids)).await.unwrap();
        branch.flush().await.unwrap();
        open.push(branch);
    }
    // Both are open when the first one votes.
    for branch in open {
        assert_eq!(branch.prepare().await.unwrap(), Vote::Prepared);
    }
    assert_eq!(oracle.rollback(&first).await.unwrap(), Resolution::Done);
    assert_eq!(oracle.commit(&second).await.unwrap(), Resolution::Done);
    assert_eq!(double.committed("SELECT ID FROM LANDING ORDER BY ID"), ["2", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_refused_that_may_not_be_stored() {
    let (_folder, _, oracle) = landing(&SinkOptions::new());
    let record = |bytes: usize| DecisionRecord {
        job: JobId::try_new("j").unwrap(),
        epoch: Epoch(1),
        gtrid: xid().gtrid,
        decision: Decision::Commit,
        rows: 0,
        positions: Positions::new(&"x".repeat(bytes), true),
    };
    let log = oracle.decision_log().unwrap();
    let error = log.decide(record(40_000)).await.unwrap_err();
    assert!(error.to_string().contains("more than the 32767 bytes"), "{error}");
    let long = record(30_000);
    assert_eq!(log.decide(long.clone()).await.unwrap(), long);
}
