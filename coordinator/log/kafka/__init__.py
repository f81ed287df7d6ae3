"""The log on Kafka topics: the truth of the live shell, behind the same port as every other log.

Place in the flow: journal, decisions, checkpoints and dead letters are topics; a shard is a
partition, a position an offset, the journal's time the broker's. It must never send on after a
failed send, nor return a record out of order.
"""

from coordinator.log.kafka.log import KafkaLog
from coordinator.log.kafka.loop import LoopThread
from coordinator.log.kafka.topics import Difference, TopicPlan, declared

__all__ = ["Difference", "KafkaLog", "LoopThread", "TopicPlan", "declared"]
