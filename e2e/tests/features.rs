//! What a danmaku can be beyond a text, and what moderators can do about it: over the wire and the HTTP API of a real
//! server, through `kill -9`.

#[path = "features/asked.rs"]
mod asked;
#[path = "features/bad_input.rs"]
mod bad_input;
#[path = "features/danmaku.rs"]
mod danmaku;
#[path = "features/moderation.rs"]
mod moderation;
#[path = "features/scene.rs"]
mod scene;
#[path = "features/verdict.rs"]
mod verdict;
