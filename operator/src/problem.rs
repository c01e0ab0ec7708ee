//! What keeps an object from being as its spec says: a reason for programs, and for people what is wrong and what to do.

use std::fmt;

/// Why a condition holds or does not. Metrics count by it, so it is a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// All is as it should be.
    Serving,
    /// Something was begun and takes its time.
    Starting,
    /// The object is not one that this operator understands.
    Invalid,
    /// Another object was there first, or the pool was made otherwise.
    Conflict,
    /// Kubernetes does not allow the operator what it needs.
    Forbidden,
    /// A Secret, or a key of one, is not there.
    SecretMissing,
    /// A Secret does not hold what it should.
    SecretInvalid,
    /// A certificate that is not the operator's to replace has ended.
    CertificateExpired,
    /// No broker answers.
    KafkaUnreachable,
    /// Topics are not as they have to be.
    TopicsWrong,
    /// No Redis node answers, or it is not set as it has to be.
    RedisUnreachable,
    /// The route table cannot be read or written.
    RoutesUnavailable,
    /// An engineer has taken over the route table.
    Manual,
    /// An image cannot be had.
    ImagePull,
    /// Pods start and end again, or cannot be placed.
    PodsFailing,
    /// A node does not answer.
    NodeSilent,
    /// The room's pool does not exist.
    PoolMissing,
    /// The room's pool does not serve yet.
    PoolNotReady,
    /// The room's pool takes no rooms of this namespace.
    PoolForbids,
    /// The object says that nothing is to be changed.
    Paused,
    /// The API server did not do what it was asked.
    ApiError,
    /// The object is being deleted.
    Deleting,
}

impl Reason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "Serving",
            Self::Starting => "Starting",
            Self::Invalid => "Invalid",
            Self::Conflict => "Conflict",
            Self::Forbidden => "Forbidden",
            Self::SecretMissing => "SecretMissing",
            Self::SecretInvalid => "SecretInvalid",
            Self::CertificateExpired => "CertificateExpired",
            Self::KafkaUnreachable => "KafkaUnreachable",
            Self::TopicsWrong => "TopicsWrong",
            Self::RedisUnreachable => "RedisUnreachable",
            Self::RoutesUnavailable => "RoutesUnavailable",
            Self::Manual => "Manual",
            Self::ImagePull => "ImagePull",
            Self::PodsFailing => "PodsFailing",
            Self::NodeSilent => "NodeSilent",
            Self::PoolMissing => "PoolMissing",
            Self::PoolNotReady => "PoolNotReady",
            Self::PoolForbids => "PoolForbids",
            Self::Paused => "Paused",
            Self::ApiError => "ApiError",
            Self::Deleting => "Deleting",
        }
    }
}

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// For programs.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

impl Problem {
    /// Of this reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// What the API server said when it did not do what it was asked; `doing` is the rest of "cannot …".
    #[must_use]
    pub fn of_api(doing: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 403 => Self::new(
                Reason::Forbidden,
                format!(
                    "cannot {doing}: {}. Give the operator's ServiceAccount the Role for this namespace: see the \
                     permissions in operator/README.md, or list the namespace in the chart's values",
                    status.message
                ),
            ),
            kube::Error::Api(status) => Self::new(Reason::ApiError, format!("cannot {doing}: {}", status.message)),
            other => Self::new(Reason::ApiError, format!("cannot {doing}: {other}")),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.message)
    }
}

impl std::error::Error for Problem {}
