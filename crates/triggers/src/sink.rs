//! Where deliveries go: one module for each kind of place outside.

#[cfg(feature = "kafka")]
mod kafka;
mod webhook;

use std::sync::Arc;

use flint_model::Destination;
use flint_store::Delivery;

use crate::{Config, Parts};

/// Why a delivery was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It may be taken later.
    Later(String),
    /// It never will be.
    Never(String),
}

/// Every sink there is.
#[derive(Debug)]
pub(crate) struct Sinks {
    config: Arc<Config>,
    webhook: webhook::Sender,
    #[cfg(feature = "kafka")]
    kafka: kafka::Writer,
}

impl Sinks {
    #[cfg_attr(
        not(feature = "kafka"),
        expect(unused_variables, reason = "for the sink of Kafka")
    )]
    pub(crate) fn new(config: Arc<Config>, parts: &Parts) -> Self {
        let webhook = webhook::Sender::new(&config);
        Self {
            config,
            webhook,
            #[cfg(feature = "kafka")]
            kafka: kafka::Writer::new(parts.store.clone()),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Gives a delivery to its sink; `Ok` when it was taken.
    pub(crate) async fn deliver(&self, delivery: &Delivery) -> Result<(), Refused> {
        match Destination::parse(&delivery.target) {
            Some(Destination::Webhook(name)) => match self.config.webhooks.get(&name) {
                Some(webhook) => self.webhook.post(webhook, delivery).await,
                // The operator may bring it back.
                None => Err(Refused::Later(format!(
                    "no webhook of the name {name} is configured"
                ))),
            },
            #[cfg(feature = "kafka")]
            Some(Destination::Kafka { cluster, topic }) => {
                self.kafka
                    .write(&self.config, cluster.as_deref(), &topic, delivery)
                    .await
            }
            #[cfg(not(feature = "kafka"))]
            Some(Destination::Kafka { .. }) => {
                Err(Refused::Later("this server was built without Kafka".into()))
            }
            Some(Destination::Foreign(arn)) => Err(Refused::Never(format!("{arn} is not reached from here"))),
            // The queue takes these in its own transactions.
            Some(Destination::Function(_)) | None => Err(Refused::Never(format!(
                "{} cannot be delivered to",
                delivery.target
            ))),
        }
    }
}
