// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

// Consumers that change while they are subscribed, and queues that are deleted.
TestCase {
    id: testCase
    name: "ConsumerChanges"
    when: windowShown

    Component {
        id: systems
        Connection {
            id: system
            property alias consumer: consumer
            property alias queue: queue
            property alias publisher: publisher
            property var seen: []
            property var waiting: [] // not acknowledged
            property bool acknowledges: true

            active: true
            Queue { id: queue; durable: false; arguments: ({ "x-expires": 60000 }) }
            Consumer {
                id: consumer
                queue: queue
                onDelivered: message => {
                    system.seen.push(message.text)
                    if (system.acknowledges)
                        message.ack()
                    else
                        system.waiting.push(message)
                }
            }
            Publisher { id: publisher; persistent: false; routingKey: queue.declaredName }
        }
    }
    Component { id: connections; Connection { active: true } }
    Component { id: queues; Queue {} }
    Component { id: consumers; Consumer {} }
    Component { id: spies; SignalSpy {} }

    function create(component, properties) {
        const object = createTemporaryObject(component, testCase, properties)
        verify(object)
        return object
    }
    function createOpen(url, queueProperties, consumerProperties) {
        const system = create(systems, { url: url, active: false })
        system.queue.name = test.uniqueName("queue")
        for (const name in queueProperties)
            system.queue[name] = queueProperties[name]
        for (const name in consumerProperties)
            system.consumer[name] = consumerProperties[name]
        system.active = true
        tryVerify(() => system.publisher.writable && (!system.consumer.active || system.consumer.subscribed), 30000)
        return system
    }
    function createElsewhere() {
        const connection = create(connections, { url: test.url })
        tryCompare(connection, "connected", true, 30000)
        return connection
    }
    function publish(system, first, last) {
        for (let i = first; i <= last; ++i)
            system.publisher.publish("" + i)
    }
    function numbers(first, last) {
        return Array.from({ length: last - first + 1 }, (_, i) => first + i).join()
    }
    // The subscription matches its properties, and messages arrive.
    function trySubscribed(system, text) {
        tryVerify(() => {
            system.publisher.publish(text)
            wait(20)
            return system.consumer.subscribed && system.seen.includes(text)
        }, 30000)
        compare(system.consumer.errorString, "")
    }
    // The unsettled deliveries of the previous subscription can still be settled.
    function settleAll(system, count) {
        compare(system.waiting.length, count)
        tryCompare(system.consumer, "unackedCount", count, 30000)
        for (const message of system.waiting.splice(0))
            verify(system.consumer.ack(message))
        tryCompare(system.consumer, "unackedCount", 0, 30000)
        compare(system.consumer.errorString, "")
    }
    function change(consumer, changes) {
        for (const name in changes)
            consumer[name] = changes[name]
    }

    function changes() {
        const all = { "prefetch": { prefetch: 7 }, "priority": { priority: 3 }, "tag": { consumerTag: "other" },
            "arguments": { arguments: { "x-cancel-on-ha-failover": true } }, "ackMode": { ackMode: Amqp.AfterDelivery },
            "several": { prefetch: 9, priority: 1, consumerTag: "several" } }
        const kinds = { "plain": [{}, {}], "tagged": [{}, { consumerTag: "mine" }], "auto-delete": [{ autoDelete: true }, {}],
            "auto-delete and tagged": [{ autoDelete: true }, { consumerTag: "mine" }], "exclusive": [{}, { exclusive: true }],
            "exclusive and tagged": [{}, { exclusive: true, consumerTag: "mine" }] }
        const rows = []
        for (const kind in kinds)
            for (const name in all)
                rows.push({ tag: kind + ", " + name, queue: kinds[kind][0], consumer: kinds[kind][1], changes: all[name] })
        rows.push({ tag: "becomes exclusive", queue: {}, consumer: {}, changes: { exclusive: true } })
        rows.push({ tag: "no more exclusive", queue: {}, consumer: { exclusive: true }, changes: { exclusive: false } })
        return rows
    }

    // Every message published before, during and after the change arrives once and in order, and deliveries held
    // by the handler can still be acknowledged.
    function test_changesKeepTheSubscription_data() { return changes() }
    function test_changesKeepTheSubscription(data) {
        const system = createOpen(test.delayedUrl(5), data.queue, data.consumer)
        system.acknowledges = false
        publish(system, 1, 3)
        tryCompare(system.seen, "length", 3, 30000)
        system.acknowledges = true
        publish(system, 4, 50)
        change(system.consumer, data.changes)
        publish(system, 51, 100)
        tryVerify(() => system.seen.length >= 100, 30000)
        trySubscribed(system, "after")
        compare(system.seen.filter(text => text !== "after").join(), numbers(1, 100))
        settleAll(system, 3)
        for (const name in data.changes) {
            if (name !== "arguments")
                compare(system.consumer[name], data.changes[name])
        }
        system.consumer.active = false
        tryVerify(() => { system.queue.refresh(); return data.queue.autoDelete || system.queue.consumerCount === 0 }, 30000)
        compare(system.queue.messageCount, 0)
    }

    function test_ackModeChangesLoseNothing() {
        const system = createOpen(test.delayedUrl(10), {}, { ackMode: Amqp.NoAck, consumerTag: "mine" })
        const texts = []
        const consumer = create(consumers, { connection: system, queue: system.queue, active: false, ackMode: Amqp.NoAck })
        system.consumer.active = false
        consumer.delivered.connect(message => texts.push(message.text))
        consumer.active = true
        tryCompare(consumer, "subscribed", true, 30000)
        tryVerify(() => { system.queue.refresh(); return system.queue.consumerCount === 1 }, 30000)
        publish(system, 1, 100)
        for (const mode of [Amqp.AfterDelivery, Amqp.NoAck, Amqp.AfterDelivery]) {
            consumer.ackMode = mode
            publish(system, 1, 100)
            wait(30)
        }
        tryVerify(() => texts.length >= 400, 30000)
        compare(texts.join(), Array(4).fill(numbers(1, 100)).join())
        tryCompare(consumer, "unackedCount", 0, 30000)
        compare(consumer.errorString, "")
    }

    // The handler acknowledges every message, and cannot know that some arrived before the change.
    function test_noAckDeliveriesMayBeAcknowledgedLater() {
        failOnWarning(/needs no settling/)
        const system = createOpen(test.delayedUrl(30), {}, { ackMode: Amqp.NoAck })
        let count = 0
        system.consumer.delivered.connect(() => system.consumer.paused = ++count === 1)
        publish(system, 1, 100)
        tryVerify(() => count === 1 && !system.consumer.subscribed, 30000)
        system.consumer.ackMode = Amqp.Manual
        system.consumer.paused = false
        tryVerify(() => system.seen.length >= 100, 30000)
        compare(system.seen.join(), numbers(1, 100))
        tryVerify(() => system.consumer.subscribed && system.consumer.unackedCount === 0, 30000)
        compare(system.consumer.errorString, "")
    }

    function test_changesFasterThanTheBroker_data() {
        return [{ tag: "plain", queue: {}, consumer: {} }, { tag: "tagged", queue: {}, consumer: { consumerTag: "mine" } },
                { tag: "auto-delete and tagged", queue: { autoDelete: true }, consumer: { consumerTag: "mine" } },
                { tag: "exclusive", queue: {}, consumer: { exclusive: true } }]
    }
    function test_changesFasterThanTheBroker(data) {
        const system = createOpen(test.delayedUrl(30), data.queue, data.consumer)
        for (let i = 1; i <= 20; ++i) {
            publish(system, i, i)
            system.consumer.prefetch = i
            system.consumer.priority = i % 3
            wait(7)
        }
        trySubscribed(system, "after")
        compare(system.seen.filter(text => text !== "after").join(), numbers(1, 20))
        compare(system.consumer.prefetch, 20)
        tryVerify(() => { system.queue.refresh(); return system.queue.consumerCount === 1 }, 30000)
    }

    function test_offAndOn_data() {
        return [{ tag: "one turn", pause: 0 }, { tag: "under way", pause: 20 }, { tag: "over", pause: 200 }]
    }
    function test_offAndOn(data) {
        const system = createOpen(test.delayedUrl(20), {}, { consumerTag: "mine" })
        system.acknowledges = false
        publish(system, 1, 2)
        tryCompare(system.seen, "length", 2, 30000)
        system.acknowledges = true
        system.consumer.active = false
        if (data.pause)
            wait(data.pause)
        publish(system, 3, 5)
        system.consumer.active = true
        trySubscribed(system, "after")
        settleAll(system, 2)
        compare(system.seen.filter(text => text !== "after").join(), "1,2,3,4,5")
    }

    function test_autoDeleteQueueIsDeclaredAgainForItsConsumer() {
        const system = createOpen(test.delayedUrl(20), { autoDelete: true }, { consumerTag: "mine" })
        system.consumer.active = false
        tryCompare(system.consumer, "subscribed", false, 30000)
        wait(100)
        system.consumer.active = true
        trySubscribed(system, "after")
        compare(system.queue.errorString, "")
    }

    function test_exclusiveConsumerOfAnAutoDeleteQueueReportsTheLoss() {
        const system = createOpen(test.url, { autoDelete: true }, { exclusive: true })
        ignoreWarning(/deletes the auto-delete queue/)
        system.consumer.prefetch = 5
        const spy = create(spies, { target: system.queue, signalName: "declared" })
        tryCompare(spy, "count", 1, 30000)
        trySubscribed(system, "after")
    }

    // The channel of a destroyed element closes while the new one opens, so the broker may still have the
    // previous consumer.
    function test_exclusiveConsumerWaitsForTheFormerOne() {
        const system = createOpen(test.url, {}, { exclusive: true, consumerTag: "mine" })
        ignoreWarning(/ACCESS_REFUSED - .* in exclusive use/)
        const consumer = create(consumers, { connection: system, queue: system.queue, exclusive: true, consumerTag: "mine" })
        tryVerify(() => consumer.errorString.includes("ACCESS_REFUSED"), 30000)
        test.deleteNow(system.consumer)
        tryCompare(consumer, "subscribed", true, 30000)
        compare(consumer.errorString, "")
    }

    function test_anotherQueue() {
        const system = createOpen(test.delayedUrl(10), {}, { consumerTag: "mine" })
        const other = create(queues, { connection: system, name: test.uniqueName("other"), durable: false, exclusive: true })
        tryVerify(() => other.declaredName, 30000)
        system.acknowledges = false
        publish(system, 1, 2)
        tryCompare(system.seen, "length", 2, 30000)
        system.acknowledges = true
        system.consumer.queue = other
        tryVerify(() => {
            system.publisher.publish("other", { routingKey: other.name })
            wait(20)
            return system.seen.includes("other")
        }, 30000)
        settleAll(system, 2)
        compare(system.consumer.queueName, other.name)
        tryVerify(() => { system.queue.refresh(); return system.queue.consumerCount === 0 }, 30000)
    }

    function test_missingQueueLeavesTheUnsettledDeliveries() {
        const system = createOpen(test.delayedUrl(10), {}, {})
        system.acknowledges = false
        publish(system, 1, 2)
        tryCompare(system.seen, "length", 2, 30000)
        ignoreWarning(/NOT_FOUND - no queue/)
        system.consumer.queueName = test.uniqueName("none")
        system.consumer.queue = null
        tryVerify(() => system.consumer.errorString.includes("NOT_FOUND"), 30000)
        verify(!system.consumer.subscribed)
        for (const message of system.waiting)
            verify(system.consumer.ack(message))
        tryCompare(system.consumer, "unackedCount", 0, 30000)
        const name = system.queue.name
        system.consumer.queueName = name
        system.acknowledges = true
        trySubscribed(system, "after")
        compare(system.seen.filter(text => text !== "after").join(), "1,2")
    }

    function test_pausedNoAckMessagesAreNotLost() {
        const system = createOpen(test.delayedUrl(10), {}, { ackMode: Amqp.NoAck })
        let count = 0
        system.consumer.delivered.connect(() => system.consumer.paused = ++count === 10)
        publish(system, 1, 100)
        tryVerify(() => count === 10, 30000)
        tryCompare(system.consumer, "subscribed", false, 30000)
        system.consumer.paused = false
        tryVerify(() => system.seen.length >= 100, 30000)
        compare(system.seen.join(), numbers(1, 100))
    }

    function remove(name) {
        const queue = create(queues, { connection: createElsewhere(), name: name, passive: true })
        tryCompare(queue, "declaredName", name, 30000)
        queue.remove()
        tryCompare(queue, "declaredName", "", 30000)
    }

    function test_deletedQueueIsDeclaredAgain_data() {
        return [{ tag: "resubscribe", consumer: { resubscribe: true } }, { tag: "tagged", consumer: { consumerTag: "mine" } },
                { tag: "exclusive", consumer: { exclusive: true } }]
    }
    function test_deletedQueueIsDeclaredAgain(data) {
        const system = createOpen(test.url, {}, data.consumer)
        const names = []
        const subscribed = []
        const queue = system.queue
        const consumer = system.consumer
        queue.declaredNameChanged.connect(() => names.push(queue.declaredName))
        consumer.subscribedChanged.connect(() => subscribed.push(consumer.subscribed))
        ignoreWarning(/the broker cancelled the consumer/)
        remove(system.queue.name)
        tryVerify(() => subscribed.join() === "false,true", 30000)
        compare(names.join(), "," + system.queue.name)
        trySubscribed(system, "after")
        compare(system.queue.errorString, "")
    }

    function test_withoutResubscribeTheConsumerEnds() {
        const system = createOpen(test.url, {}, { resubscribe: false })
        const spy = create(spies, { target: system.queue, signalName: "declared" })
        ignoreWarning(/the broker cancelled the consumer/)
        remove(system.queue.name)
        tryCompare(spy, "count", 1, 30000) // the queue exists again
        tryCompare(system.consumer, "subscribed", false, 30000)
        verify(system.consumer.errorString.includes("cancelled"), system.consumer.errorString)
        system.consumer.active = false
        tryVerify(() => { system.queue.refresh(); return system.queue.consumerCount === 0 }, 30000)
        system.consumer.active = true // asks again
        trySubscribed(system, "after")
    }

    function test_consumerByNameWaitsForItsQueue() {
        const elsewhere = createElsewhere()
        const queue = create(queues, { connection: elsewhere, name: test.uniqueName("named"), durable: false,
                                       arguments: { "x-expires": 60000 } })
        tryVerify(() => queue.declaredName, 30000)
        const system = createOpen(test.url, {}, { queue: null, queueName: queue.name })
        ignoreWarning(/waits for the queue/)
        queue.remove()
        tryCompare(system.consumer, "subscribed", false, 30000)
        verify(system.consumer.errorString.includes(queue.name), system.consumer.errorString)
        queue.maximumLength = 100 // declares it
        tryCompare(system.consumer, "subscribed", true, 30000)
        compare(system.consumer.errorString, "")
    }

    function test_consumerByNameStartsWhenItsQueueComes() {
        const name = test.uniqueName("later")
        ignoreWarning(/NOT_FOUND - no queue/)
        const system = create(systems, { url: test.url })
        system.consumer.queueName = name
        system.consumer.queue = null
        tryVerify(() => system.consumer.errorString.includes("NOT_FOUND"), 30000)
        const queue = create(queues, { connection: system, name: name, durable: false, exclusive: true })
        tryCompare(system.consumer, "subscribed", true, 30000)
        compare(system.consumer.errorString, "")
    }

    function test_removedQueueStaysAway() {
        const system = createOpen(test.url, {}, {})
        ignoreWarning(/the broker cancelled the consumer/)
        const spy = create(spies, { target: system.queue, signalName: "declared" })
        system.queue.remove()
        tryVerify(() => system.queue.declaredName === "" && !system.consumer.subscribed, 30000)
        ignoreWarning(/NOT_FOUND/)
        const looking = create(queues, { connection: system, name: system.queue.name, passive: true })
        tryVerify(() => looking.errorString.includes("NOT_FOUND"), 30000)
        compare(spy.count, 0)
        system.queue.maximumLength = 100
        trySubscribed(system, "after")
    }

    function test_passiveQueueWaitsUntilItIsThere() {
        const name = test.uniqueName("passive")
        ignoreWarning(/NOT_FOUND - no queue/)
        const system = create(systems, { url: test.url })
        change(system.queue, { passive: true, name: name })
        tryVerify(() => system.queue.errorString.includes("NOT_FOUND"), 30000)
        const queue = create(queues, { connection: createElsewhere(), name: name, durable: false, arguments: { "x-expires": 60000 } })
        trySubscribed(system, "there")
        ignoreWarning(/waits for the queue/)
        queue.remove()
        tryVerify(() => system.queue.declaredName === "" && !system.consumer.subscribed, 30000)
        verify(system.queue.errorString !== "")
        queue.maximumLength = 100
        trySubscribed(system, "there again")
    }

    function test_bindingsComeBackWithTheQueue() {
        const system = createOpen(test.url, {}, {})
        const exchange = test.uniqueName("auto-delete")
        const parts = Qt.createQmlObject(`import AmqpQt; import QtQml
            QtObject {
                property Exchange exchange: Exchange { name: "${exchange}"; autoDelete: true; durable: false; type: Exchange.Fanout }
            }`, testCase)
        parts.exchange.connection = system
        const binding = Qt.createQmlObject("import AmqpQt; QueueBinding {}", system.queue)
        binding.exchange = parts.exchange
        function tryBound(text) {
            tryVerify(() => {
                system.publisher.publish(text, { exchange: exchange, routingKey: "", mandatory: false })
                wait(20)
                return system.seen.includes(text)
            }, 30000)
        }
        tryBound("bound")
        ignoreWarning(/the broker cancelled the consumer/)
        ignoreWarning(/NOT_FOUND - no exchange/)
        remove(system.queue.name) // also removes the last binding of the exchange
        tryBound("bound again")
        compare(binding.errorString + parts.exchange.errorString + system.queue.errorString, "")
        parts.destroy()
    }
}
