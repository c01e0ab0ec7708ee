//! A small load on the pool's Service while something happens to the cluster, and the judgement of what viewers saw of
//! it: nothing lost, doubled or out of order, and how connections ended.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use barrage_e2e::{
    load::{self, Chat, Endpoint, Load, LoadError, Outcome, Report},
    swarm::{Control, Format},
};

use crate::scene::{Scene, debug};

/// Viewers who only watch.
const VIEWERS: u32 = 20;
/// Users who talk.
const USERS: u32 = 10;
/// Danmaku/s of all of them.
const RATE: f64 = 20.0;

/// A load that goes on until it is ended.
pub(crate) struct Running {
    pub(crate) control: Arc<Control>,
    thread: JoinHandle<Result<Outcome, LoadError>>,
}

impl Running {
    /// Viewers come, and when all are there, users begin to talk.
    pub(crate) fn start(scene: &Scene, room: &str) -> Self {
        let target = Endpoint::parse(&format!("ws://{}", scene.gateways())).unwrap().target(room).unwrap();
        let chat = Chat::new(RATE, USERS, 1.0, 7).unwrap();
        let load = Load {
            target,
            key: Some(scene.token_key()),
            format: Format::V2,
            viewers: VIEWERS,
            dial_rate: None,
            script: Some(Box::new(chat)),
            senders_max: USERS as usize,
            threads: 1,
            duration: None,
            api: Some(scene.api(room)),
        };
        let control = Arc::new(Control::default());
        let given = Arc::clone(&control);
        let thread = thread::spawn(move || load::run(load, &given));
        let running = Self { control, thread };
        running.goes_on(scene, 1);
        running
    }

    /// Waits until so many more danmaku are acknowledged.
    pub(crate) fn goes_on(&self, scene: &Scene, more: u64) {
        let progress = &self.control.progress;
        let wanted = progress.acknowledged.value() + more;
        scene.until(&format!("{more} more danmaku are acknowledged"), |_| {
            assert!(!self.thread.is_finished(), "the load has ended by itself");
            if progress.acknowledged.value() >= wanted { Ok(()) } else { Err(debug(progress.acknowledged.value())) }
        });
    }

    /// Ends it; what came of it, with no promise broken.
    pub(crate) fn end(self) -> Report {
        self.control.hush();
        let progress = Arc::clone(&self.control);
        let outcome = self.thread.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
        let report = Report::new(&outcome, &progress.progress);
        assert_eq!(report.findings, 0, "{:?}", report.findings_first);
        report
    }
}
