//! A partition that takes nothing: what waits for it is given up, and others notice nothing.

use super::*;

/// Partition 0 is at broker 3 and at no other, partition 1 is at broker 1: it goes on where that one is down.
fn apart() -> Mock {
    let mock = mock(2);
    for (partition, broker) in [(0, 3), (1, 1)] {
        mock.partition_leader("test.danmaku", partition, Some(broker)).unwrap();
    }
    mock
}

#[tokio::test]
async fn a_partition_that_takes_nothing_disturbs_no_other() {
    let mock = apart();
    let log = open_impatient(&mock, 2, Duration::from_secs(2));
    let before = log.append(vec![record(0, "before"), record(1, "before")]).await.unwrap();
    assert_eq!(before, [0, 0]);
    mock.broker_down(3).unwrap();
    let lane = Lane::default();
    let stands = (0..3).map(|i| {
        let log = log.clone();
        async move { log.append(vec![record(0, &format!("stands {i}"))]).await }
    });
    let stands: Vec<_> = stands.map(tokio::spawn).collect();
    // Through the giving up and beyond, always with one under way behind another.
    let (mut offsets, mut texts) = (vec![0], vec!["before".to_owned()]);
    let mut given_up_at = None;
    while given_up_at.is_none_or(|at| texts.len() < at + 200) {
        let number = texts.len();
        let alone = number == 1;
        let [one, two] = [number, number + 1].map(|number| vec![record(1, &number.to_string())]);
        let (one, two) = tokio::join!(log.append_in(&lane, alone, one), log.append_in(&lane, false, two));
        offsets.extend([one.unwrap()[0], two.unwrap()[0]]);
        texts.extend([number, number + 1].map(|number| number.to_string()));
        if given_up_at.is_none() && stands.iter().all(tokio::task::JoinHandle::is_finished) {
            given_up_at = Some(texts.len());
        }
    }
    for stands in stands {
        stands.await.unwrap().unwrap_err();
    }
    assert_eq!(offsets, (0..texts.len() as u64).collect::<Vec<_>>());
    let mut reader = log.reader(1, 0, Reading::Live).unwrap();
    assert_eq!(read(&mut reader, texts.len()).await.iter().map(text).collect::<Vec<_>>(), texts);
    mock.broker_up(3).unwrap();
    let last = until_appended(&log, 0, "after").await;
    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    let seen: Vec<_> = read(&mut reader, usize::try_from(last).unwrap() + 1).await.iter().map(text).collect();
    // Each time that it was tried again, it may have been given up before it was known to be in.
    assert_eq!(BTreeSet::from_iter(&seen), BTreeSet::from_iter(&["before".to_owned(), "after".to_owned()]));
}

#[tokio::test]
async fn what_is_kept_back_behind_what_was_given_up_fails_with_it() {
    let mock = apart();
    let log = open_impatient(&mock, 2, Duration::from_secs(2));
    let (lane, other) = (Lane::default(), Lane::default());
    log.append_in(&lane, true, vec![record(0, "before")]).await.unwrap();
    mock.broker_down(3).unwrap();
    let first = log.append_in(&lane, false, vec![record(0, "stands")]);
    let second = async {
        // When the line is left already, and not yet ended.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        log.append_in(&lane, false, vec![record(0, "kept back")]).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.unwrap_err().to_string().contains("no acknowledgement"));
    let second = second.unwrap_err().to_string();
    // The second one on a machine so busy that the line has ended by then.
    let reasons = ["given up together with an earlier record", "what stands before it has failed"];
    assert!(reasons.iter().any(|reason| second.contains(reason)), "{second}");
    let third = log.append_in(&lane, false, vec![record(0, "behind")]).await.unwrap_err().to_string();
    assert!(third.contains("what stands before it has failed"), "{third}");
    mock.broker_up(3).unwrap();
    // Others may, and so may it once it begins anew.
    log.append_in(&other, true, vec![record(0, "elsewhere")]).await.unwrap();
    let last = log.append_in(&lane, true, vec![record(0, "anew")]).await.unwrap()[0];
    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    let seen: Vec<_> = read(&mut reader, usize::try_from(last).unwrap() + 1).await.iter().map(text).collect();
    assert_eq!(seen, ["before", "elsewhere", "anew"]);
}
