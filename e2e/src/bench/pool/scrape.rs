//! Metrics of several processes, summed: counters, and quantiles of histograms.

use std::collections::BTreeMap;

use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::{bench::BenchError, cluster::RoleProcess, http::Api};

/// Values of all series that end in `_total` or belong to a histogram, by their name and labels.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// Asks each process.
    pub(super) fn read<'a>(processes: impl Iterator<Item = &'a RoleProcess>) -> Result<Self, BenchError> {
        let mut figures = Self::default();
        for process in processes {
            let answer = Api::new(&format!("http://{}", process.admin())).get("/metrics");
            figures.add(&answer.map_err(BenchError::refused("reading metrics"))?.body);
        }
        Ok(figures)
    }

    pub(super) fn of(registry: &Registry) -> Result<Self, BenchError> {
        let (mut figures, mut text) = (Self::default(), String::new());
        encode(&mut text, registry).map_err(BenchError::refused("reading metrics"))?;
        figures.add(&text);
        Ok(figures)
    }

    fn add(&mut self, text: &str) {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        for (series, value) in samples.filter_map(|line| line.rsplit_once(' ')) {
            *self.0.entry(series.to_owned()).or_default() += value.parse().unwrap_or(0.0);
        }
    }

    pub(super) fn since(&self, earlier: &Self) -> Self {
        let before = |series: &String| earlier.0.get(series).copied().unwrap_or(0.0);
        Self(self.0.iter().map(|(series, value)| (series.clone(), value - before(series))).collect())
    }

    /// The sum of a counter over its labels; 0 if there is none.
    pub(super) fn sum(&self, name: &str) -> f64 {
        self.labelled(name).map(|(_, value)| value).sum()
    }

    /// The sum of a counter over its labels but one.
    pub(super) fn sum_without(&self, name: &str, label: &str) -> f64 {
        self.labelled(name).filter(|(labels, _)| !labels.contains(label)).map(|(_, value)| value).sum()
    }

    /// A quantile of a histogram, in its unit, by straight lines between its buckets' bounds; 0 of nothing.
    pub(super) fn quantile(&self, name: &str, quantile: f64) -> f64 {
        let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
        for (labels, count) in self.labelled(&format!("{name}_bucket")) {
            let bound = labels.split('"').nth(1).and_then(|bound| bound.parse::<f64>().ok()).unwrap_or(f64::INFINITY);
            // The order of positive numbers is that of their bits.
            *counts.entry(bound.to_bits()).or_default() += count;
        }
        let wanted = counts.values().next_back().copied().unwrap_or(0.0) * quantile;
        let (mut below, mut under) = (0.0, 0.0);
        for (bits, count) in counts {
            let bound = f64::from_bits(bits);
            if count >= wanted && wanted > 0.0 {
                let share = if count > under { (wanted - under) / (count - under) } else { 1.0 };
                return if bound.is_finite() { below + (bound - below) * share } else { below };
            }
            (below, under) = (bound, count);
        }
        0.0
    }

    fn labelled(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        let of_name = move |(series, value): (&'_ String, &'_ f64)| {
            let labels = series.strip_prefix(name)?;
            (labels.is_empty() || labels.starts_with('{')).then_some((series.len() - labels.len(), *value))
        };
        let all = self.0.iter();
        all.filter_map(move |(series, value)| of_name((series, value)).map(|(at, value)| (&series[at..], value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_summed_and_what_was_before_is_left_out() {
        let mut before = Figures::default();
        before.add("# HELP x y\nx_total{a=\"1\"} 2\n");
        let mut after = before.clone();
        after.add("x_total{a=\"1\"} 3\nx_total{a=\"2\"} 4\nx_total_other 9\n");
        let since = after.since(&before);
        assert_eq!((since.sum("x_total"), since.sum_without("x_total", "a=\"2\"")), (7.0, 3.0));
    }

    #[test]
    fn a_quantile_lies_between_the_bounds_of_its_bucket() {
        let mut figures = Figures::default();
        figures.add("x_bucket{le=\"0.01\"} 10\nx_bucket{le=\"0.1\"} 90\nx_bucket{le=\"+Inf\"} 100\n");
        assert!((figures.quantile("x", 0.5) - 0.055).abs() < 1e-9);
        assert!((figures.quantile("x", 0.05) - 0.005).abs() < 1e-9);
        assert!((figures.quantile("x", 0.99) - 0.1).abs() < 1e-9);
        assert!(figures.quantile("y", 0.5) < 1e-9);
    }
}
