// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

TestCase {
    id: testCase
    name: "Consumer"
    when: windowShown

    Component {
        id: systems
        Connection {
            property alias consumer: consumer
            property alias queue: queue
            property alias publisher: publisher

            url: test.url
            active: true
            Queue { id: queue }
            Consumer { id: consumer; queue: queue }
            Publisher { id: publisher; routingKey: queue.declaredName }
        }
    }
    Component { id: spies; SignalSpy {} }

    function create(properties) {
        const system = createTemporaryObject(systems, testCase)
        verify(system)
        for (const name in properties)
            system.consumer[name] = properties[name]
        return system
    }
    function createOpen(properties) {
        const system = create(properties)
        tryVerify(() => system.publisher.writable && (!system.consumer.active || system.consumer.subscribed), 30000)
        return system
    }
    function watch(object, signal) {
        return createTemporaryObject(spies, testCase, { target: object, signalName: signal })
    }
    function publish(system, count) {
        for (let i = 0; i < count; ++i)
            system.publisher.publish("message " + i)
    }
    // Waits until the broker keeps this many messages and sends no more.
    function tryReady(system, count) {
        tryVerify(() => { system.queue.refresh(); return system.queue.messageCount === count }, 30000)
    }

    function test_deliversValues() {
        const system = createOpen({ ackMode: Amqp.NoAck })
        const spy = watch(system.consumer, "delivered")
        system.publisher.publish({ value: 42, list: [1, "zwei"] }, { headers: { "x-id": 7 }, messageId: "m1", priority: 3,
            correlationId: "c1", replyTo: "r", type: "t", appId: "app", expiration: 60000, persistent: false,
            timestamp: new Date(2024, 1, 2) })
        tryCompare(spy, "count", 1, 30000)
        const message = spy.signalArguments[0][0]
        compare(message.routingKey, system.queue.declaredName)
        compare(message.text, "{\"value\":42,\"list\":[1,\"zwei\"]}")
        compare(message.json("value"), 42)
        compare(message.json("list.1"), "zwei")
        compare(message.contentType, "application/json")
        compare(message.header("x-id", 0), 7)
        compare(message.headers["x-id"], 7)
        compare(message.header("x-none", "fallback"), "fallback")
        compare(message.messageId, "m1")
        compare(message.priority, 3)
        compare(message.correlationId, "c1")
        compare(message.replyTo, "r")
        compare(message.type, "t")
        compare(message.appId, "app")
        compare(message.persistent, false)
        compare(message.timestamp.getTime(), new Date(2024, 1, 2).getTime())
        compare(message.redelivered, false)
        compare(message.consumerTag, system.consumer.consumerTag)
    }

    function test_manualSettling() {
        const system = createOpen({ ackMode: Amqp.Manual })
        const messages = []
        system.consumer.delivered.connect(message => messages.push(message))
        publish(system, 3)
        tryVerify(() => messages.length === 3, 30000)
        tryCompare(system.consumer, "unackedCount", 3, 30000)
        messages[0].ack()
        verify(system.consumer.ack(messages[1]))
        messages[2].nack(Amqp.Requeue.No)
        tryCompare(system.consumer, "unackedCount", 0, 30000)
        tryCompare(system.consumer, "totalCount", 3, 30000)
        ignoreWarning(/already been settled/)
        verify(!system.consumer.ack(messages[1]))
        tryVerify(() => system.consumer.errorString !== "", 30000)
        verify(system.connected)
    }

    function test_rejectedMessagesAreGoneAndRequeuedOnesComeAgain() {
        const system = createOpen({})
        const messages = []
        system.consumer.delivered.connect(message => {
            messages.push(message.redelivered)
            if (message.redelivered)
                system.consumer.reject(message)
            else
                system.consumer.nack(message)
        })
        publish(system, 1)
        tryVerify(() => messages.join() === "false,true", 30000)
        system.consumer.active = false
        tryReady(system, 0)
    }

    function test_afterDeliveryAcksDeliveriesThatTheHandlerHasSeen() {
        const system = createOpen({ ackMode: Amqp.AfterDelivery, prefetch: 1 })
        const texts = []
        system.consumer.delivered.connect(message => texts.push(message.text))
        publish(system, 3) // one at a time, so each must be acked
        tryVerify(() => texts.length === 3, 30000)
        tryCompare(system.consumer, "unackedCount", 0, 30000)
        compare(system.consumer.errorString, "")
    }

    function test_afterDeliveryLeavesTheHandlersOwnAckOrNack() {
        const system = createOpen({ ackMode: Amqp.AfterDelivery })
        const seen = []
        system.consumer.delivered.connect(message => {
            seen.push(message.redelivered)
            if (!message.redelivered)
                message.nack(Amqp.Requeue.Yes)
            else
                message.ack()
        })
        publish(system, 1)
        tryVerify(() => seen.join() === "false,true", 30000)
        tryCompare(system.consumer, "unackedCount", 0, 30000)
        wait(50)
        compare(system.consumer.errorString, "")
    }

    function test_deliveriesWaitForAHandler() {
        const system = createOpen({ ackMode: Amqp.AfterDelivery, prefetch: 2 })
        publish(system, 5)
        tryReady(system, 3) // prefetch holds the broker back
        const texts = []
        system.consumer.delivered.connect(message => texts.push(message.text))
        tryVerify(() => texts.length === 5, 30000)
        compare(texts.join(), "message 0,message 1,message 2,message 3,message 4")
    }

    function test_batchesComeOncePerInterval() {
        const system = createOpen({ ackMode: Amqp.AfterDelivery, dispatchInterval: 200 })
        const sizes = []
        const texts = []
        system.consumer.batchDelivered.connect(messages => {
            sizes.push(messages.length)
            for (let i = 0; i < messages.length; ++i)
                texts.push(messages[i].text)
        })
        publish(system, 20)
        tryVerify(() => texts.length === 20, 30000)
        compare(texts[19], "message 19")
        verify(sizes.length < 20, sizes.join())
        tryCompare(system.consumer, "unackedCount", 0, 30000)
    }

    function test_pausedKeepsTheSubscriptionAndTheMessages() {
        const system = createOpen({ ackMode: Amqp.AfterDelivery, prefetch: 2 })
        const texts = []
        system.consumer.delivered.connect(message => { texts.push(message.text); system.consumer.paused = texts.length === 1 })
        publish(system, 4)
        tryReady(system, 1) // one message was emitted and two are held
        compare(texts.length, 1)
        verify(system.consumer.subscribed)
        system.consumer.paused = false
        tryVerify(() => texts.length === 4, 30000)
        compare(texts.join(), "message 0,message 1,message 2,message 3")
    }

    function test_pausedWithoutALimitUnsubscribes() {
        const system = createOpen({ ackMode: Amqp.NoAck })
        system.consumer.paused = true
        tryCompare(system.consumer, "subscribed", false, 30000)
        system.consumer.paused = false
        tryCompare(system.consumer, "subscribed", true, 30000)
    }

    function test_inactiveReturnsUnreportedDeliveries() {
        const system = createOpen({ ackMode: Amqp.Manual })
        system.consumer.paused = true
        publish(system, 3)
        tryCompare(system.consumer, "unackedCount", 3, 30000)
        system.consumer.active = false
        tryCompare(system.consumer, "subscribed", false, 30000)
        tryReady(system, 3)
        compare(system.consumer.unackedCount, 0)
        compare(system.consumer.errorString, "")
    }

    function test_queueByName() {
        const system = createOpen({ active: false })
        system.consumer.queue = null
        system.consumer.queueName = system.queue.declaredName
        system.consumer.active = true
        tryCompare(system.consumer, "subscribed", true, 30000)
        ignoreWarning(/NOT_FOUND - no queue/)
        system.consumer.queueName = test.uniqueName("none")
        tryVerify(() => system.consumer.errorString.includes("NOT_FOUND"), 30000)
        verify(!system.consumer.subscribed)
        verify(system.publisher.writable) // each consumer has its own channel
        system.consumer.queueName = system.queue.declaredName
        tryCompare(system.consumer, "subscribed", true, 30000)
        compare(system.consumer.errorString, "")
    }

    function test_needsAQueue() {
        const system = create({ queue: null })
        ignoreWarning(/A Consumer needs a queue/)
        tryCompare(system.consumer, "errorString", "A Consumer needs a queue", 30000)
    }

    function test_deletedQueueIsReportedAsByTheBroker() {
        const system = createOpen({})
        ignoreWarning(/cancel/)
        system.queue.remove()
        tryCompare(system.consumer, "subscribed", false, 30000)
    }

    function test_tagAndPriority() {
        const system = createOpen({ consumerTag: "my-tag", priority: 5, exclusive: true })
        compare(system.consumer.consumerTag, "my-tag")
        compare(system.consumer.errorString, "")
    }

    function test_negativeNumbersChangeNothing() {
        const system = create({})
        ignoreWarning(/prefetch: -1 is out of range; the range is 0 to 65535/)
        system.consumer.prefetch = -1
        ignoreWarning(/dispatchInterval: -1 is out of range; the range is 0 to/)
        system.consumer.dispatchInterval = -1
        compare(system.consumer.prefetch, 100)
        compare(system.consumer.dispatchInterval, 16)
    }

    function test_ratesRiseAndFall() {
        const system = createOpen({ ackMode: Amqp.NoAck })
        publish(system, 200)
        tryVerify(() => system.consumer.rate > 0, 30000)
        tryCompare(system.consumer, "totalCount", 200, 30000)
        tryVerify(() => system.statistics.messagesIn === 200 && system.statistics.messagesOut === 200, 30000)
        tryCompare(system.consumer, "rate", 0, 30000)
        tryCompare(system.statistics, "rateIn", 0, 30000)
    }

    function test_mayBeDeletedInItsHandlers_data() {
        return [{ tag: "delivered" }, { tag: "batchDelivered" }]
    }
    function test_mayBeDeletedInItsHandlers(data) {
        const system = createOpen({ ackMode: Amqp.AfterDelivery })
        let count = 0
        const consumer = system.consumer
        consumer[data.tag].connect(() => { if (++count === 1) test.deleteNow(consumer) })
        publish(system, 20)
        tryVerify(() => count === 1, 30000)
        wait(50)
        compare(count, 1)
        verify(system.connected)
    }

    function test_connectionMayBeDeletedInAHandler() {
        const system = createOpen({ ackMode: Amqp.AfterDelivery })
        let count = 0
        system.consumer.delivered.connect(() => { ++count; test.deleteNow(system) })
        publish(system, 20)
        tryVerify(() => count === 1, 30000)
        wait(50)
        compare(count, 1)
    }
}
