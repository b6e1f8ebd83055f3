// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

// Elements whose connection is lost and recovers.
TestCase {
    id: testCase
    name: "Recovery"
    when: windowShown

    Component {
        id: systems
        Connection {
            id: system
            property alias exchange: exchange
            property alias queue: queue
            property alias binding: binding
            property alias consumer: consumer
            property alias publisher: publisher
            property var log: []
            property var reports: []
            property var keys: []
            property var settlements: []    // the reply codes

            url: test.unreliableUrl()
            active: true
            recovery { initialDelay: 200; maximumDelay: 200 }
            onOpened: log.push("opened")
            onClosed: log.push("closed")
            onRecovered: report => reports.push(report)

            Exchange { id: exchange; type: Exchange.Topic; durable: false }
            Queue {
                id: queue
                durable: false
                exclusive: true
                onDeclared: system.log.push("declared")
                QueueBinding { id: binding; exchange: exchange; routingKey: "old" }
            }
            Consumer {
                id: consumer
                queue: queue
                ackMode: Amqp.AfterDelivery
                onDelivered: message => system.keys.push(message.routingKey)
                onSubscribedChanged: system.log.push("subscribed " + subscribed)
            }
            Publisher {
                id: publisher
                exchange: exchange.name
                persistent: false
                onSettled: (id, error) => system.settlements.push({ id: id, code: error.replyCode })
            }
        }
    }
    Component {
        id: connections
        Connection {
            property var log: []
            property var delays: []
            property var banners: []
            property var countdown: []

            onOpened: log.push("opened")
            onClosed: log.push("closed")
            onRecovered: log.push("recovered")
            onReconnecting: (attempt, delay) => delays.push(delay)
            onBannerTextChanged: banners.push(bannerText)
            onNextAttemptInChanged: countdown.push(nextAttemptIn)
        }
    }
    Component { id: others; Connection { url: test.url; active: true } }
    Component { id: exchanges; Exchange {} }
    Component { id: queues; Queue {} }
    Component { id: boundQueues; Queue {
            id: boundQueue
            property Exchange exchange
            property alias binding: binding
            QueueBinding { id: binding; exchange: boundQueue.exchange }
        } }
    Component { id: consumers; Consumer { ackMode: Amqp.AfterDelivery } }
    Component { id: spies; SignalSpy {} }

    function create(component, properties) {
        const object = createTemporaryObject(component, testCase, properties)
        verify(object)
        return object
    }
    // The policy is that of the first attempt.
    function createActive(properties, recovery) {
        const connection = create(connections, properties)
        Object.assign(connection.recovery, recovery)
        connection.active = true
        return connection
    }
    function createOpen(queueName) {
        const system = create(systems)
        system.exchange.name = test.uniqueName("exchange")
        system.queue.name = queueName
        tryVerify(() => system.consumer.subscribed && system.publisher.writable && !system.binding.errorString, 30000)
        return system
    }
    function recover(system) {
        test.setReachable(true)
        const count = system.reports.length
        system.reconnect()
        tryVerify(() => system.reports.length > count, 30000)
        return system.reports[count]
    }
    function loseForAWhile(system) {
        test.setReachable(false)
        tryCompare(system, "state", Connection.Recovering, 30000)
    }
    // Returns the reply codes of the messages, in the order in which they were published.
    function codes(system) {
        return system.settlements.sort((a, b) => a.id - b.id).map(settlement => settlement.code).join()
    }
    // The publisher waits until everything is declared.
    function publishAll(system, keys) {
        system.keys = []
        system.settlements = []
        keys.forEach(key => system.publisher.publish("x", { routingKey: key }))
        tryVerify(() => system.settlements.length === keys.length, 30000)
        return codes(system)
    }
    // Returns the counts that the broker reports for a queue, once all earlier calls on the connection have ended.
    function countsOf(system, name) {
        const queue = create(queues, { connection: system, name: name, passive: true })
        tryVerify(() => queue.declaredName || queue.errorString, 30000)
        return queue.errorString ? queue.errorString.match(/NOT_FOUND|RESOURCE_LOCKED/)[0] : String(queue.consumerCount)
    }

    function cleanup() {
        if (!test.setReachable(true))
            fail("the proxy does not listen")
    }

    function test_callsAreMadeOnceAfterALoss_data() {
        return ["exchange.declare", "queue.declare", "queue.bind", "basic.consume"].map(method => ({ tag: method }))
    }
    function test_callsAreMadeOnceAfterALoss(data) {
        const system = createOpen(test.uniqueName("queue"))
        system.log = []
        test.countSent(data.tag)
        test.cut()
        tryVerify(() => system.reports.length === 1, 30000)
        compare(publishAll(system, ["old"]), "0")
        tryCompare(system, "keys", ["old"], 30000)
        compare(test.endOfCount(), 1)
        compare(system.log.join(), "subscribed false,subscribed true")
        const report = system.reports[0]
        compare([report.exchanges, report.queues, report.bindings, report.consumers].join(), "1,1,1,1")
        verify(report.complete)
        compare(report.failures.length, 0)
    }

    function test_queueThatTheBrokerNamesGetsANewName_data() {
        return ["queue.declare", "queue.bind", "basic.consume"].map(method => ({ tag: method }))
    }
    function test_queueThatTheBrokerNamesGetsANewName(data) {
        const system = createOpen("")
        const before = system.queue.declaredName
        test.countSent(data.tag)
        test.cut()
        tryVerify(() => system.reports.length === 1, 30000)
        verify(system.queue.declaredName.startsWith("amq.gen-"), system.queue.declaredName)
        verify(system.queue.declaredName !== before)
        compare(system.consumer.queueName, system.queue.declaredName)
        compare(system.reports[0].renamedQueues[before], system.queue.declaredName)
        compare(publishAll(system, ["old"]), "0")
        tryCompare(system, "keys", ["old"], 30000)
        compare(test.endOfCount(), 1)
        system.binding.routingKey = "new" // removes the previous binding of the queue with its present name
        tryVerify(() => publishAll(system, ["new", "old"]) === "0,312", 30000)
        compare(countsOf(system, system.queue.declaredName), "1")
    }

    function test_bindingThatChangesDuringTheOutage_data() {
        return [{ tag: "named", name: test.uniqueName("queue") }, { tag: "named by the broker", name: "" }]
    }
    function test_bindingThatChangesDuringTheOutage(data) {
        const system = createOpen(data.name)
        loseForAWhile(system)
        system.binding.routingKey = "new"
        recover(system)
        compare(publishAll(system, ["new", "old"]), "0,312") // NO_ROUTE
        tryCompare(system, "keys", ["new"], 30000)
        compare(system.binding.errorString, "")
    }

    function test_exclusiveQueueWithANewNameDuringTheOutage() {
        const before = test.uniqueName("before")
        const system = createOpen(before)
        loseForAWhile(system)
        system.queue.name = test.uniqueName("after")
        compare(system.queue.declaredName, "")
        recover(system)
        compare(publishAll(system, ["old"]), "0")
        tryCompare(system, "keys", ["old"], 30000)
        compare(system.queue.declaredName, system.queue.name)
        compare(countsOf(system, before), "NOT_FOUND")
        compare(countsOf(system, system.queue.name), "1")
    }

    function test_exclusiveQueueWithOtherArgumentsDuringTheOutage_data() {
        return [{ tag: "named", name: test.uniqueName("queue") }, { tag: "named by the broker", name: "" }]
    }
    function test_exclusiveQueueWithOtherArgumentsDuringTheOutage(data) {
        const system = createOpen(data.name)
        const before = system.queue.declaredName
        loseForAWhile(system)
        system.queue.maximumLength = 7
        const restored = recover(system).renamedQueues[before] || ""
        compare(publishAll(system, ["old"]), "0")
        tryCompare(system, "keys", ["old"], 30000)
        compare(system.queue.errorString, "")
        compare(countsOf(system, system.queue.declaredName), "1")
        compare(restored !== "", data.name === "")
        if (restored)
            compare(countsOf(system, restored), "NOT_FOUND")
    }

    function test_exclusiveQueueWhoseElementIsDestroyedDuringTheOutage() {
        const system = createOpen(test.uniqueName("queue"))
        const element = queues.createObject(system, { connection: system, name: test.uniqueName("gone"), exclusive: true,
                                                      durable: false })
        tryCompare(element, "declaredName", element.name, 30000)
        const name = element.name
        loseForAWhile(system)
        element.destroy()
        tryVerify(() => element.name === undefined || !element, 30000)
        recover(system)
        publishAll(system, ["old"])
        compare(countsOf(system, name), "NOT_FOUND")
    }

    function test_consumerThatIsNotWantedAfterTheOutage_data() {
        return [{ tag: "inactive" }, { tag: "destroyed" }, { tag: "changed" }]
    }
    function test_consumerThatIsNotWantedAfterTheOutage(data) {
        const system = createOpen(test.uniqueName("queue"))
        const extra = consumers.createObject(system, { connection: system, queue: system.queue, prefetch: 3 })
        tryCompare(extra, "subscribed", true, 30000)
        loseForAWhile(system)
        compare(extra.subscribed, false)
        if (data.tag === "inactive")
            extra.active = false
        else if (data.tag === "destroyed")
            extra.destroy()
        else
            extra.prefetch = 5
        wait(0)
        test.countSent("basic.consume")
        compare(recover(system).consumers, 1)
        publishAll(system, ["old"])
        if (data.tag === "changed")
            tryCompare(extra, "subscribed", true, 30000)
        compare(test.endOfCount(), data.tag === "changed" ? 2 : 1)
        compare(countsOf(system, system.queue.declaredName), data.tag === "changed" ? "2" : "1")
    }

    function test_exclusiveConsumerWhoseQueueSomebodyElseReadsAfterTheOutage() {
        const other = create(others)
        const shared = create(queues, { connection: other, name: test.uniqueName("shared"), durable: false,
                                        arguments: { "x-expires": 60000 } })
        tryCompare(shared, "declaredName", shared.name, 30000)
        const system = createOpen(test.uniqueName("queue"))
        const extra = create(consumers, { connection: system, queueName: shared.name, exclusive: true })
        tryCompare(extra, "subscribed", true, 30000)
        loseForAWhile(system)
        const theirs = create(consumers, { connection: other, queue: shared })
        tryCompare(theirs, "subscribed", true, 60000)
        const report = recover(system)
        compare(report.failures.length, 1)
        verify(extra.errorString.includes("ACCESS_REFUSED"), extra.errorString)
        compare(extra.subscribed, false)
        tryCompare(system.consumer, "subscribed", true, 30000)
        theirs.active = false
        tryCompare(extra, "subscribed", true, 60000)
        compare(extra.errorString, "")
    }

    function test_consumerByNameWhoseQueueIsMissingAfterTheOutage() {
        const other = create(others)
        const shared = create(queues, { connection: other, name: test.uniqueName("shared"), durable: false,
                                        arguments: { "x-expires": 60000 } })
        tryCompare(shared, "declaredName", shared.name, 30000)
        const system = createOpen(test.uniqueName("queue"))
        const extra = create(consumers, { connection: system, queueName: shared.name })
        tryCompare(extra, "subscribed", true, 30000)
        loseForAWhile(system)
        shared.remove()
        tryCompare(shared, "declaredName", "", 30000)
        recover(system)
        verify(extra.errorString.includes("waits for the queue"), extra.errorString)
        compare(extra.subscribed, false)
        tryCompare(system.consumer, "subscribed", true, 30000)
        shared.changed() // declares it again
        tryCompare(extra, "subscribed", true, 60000)
        compare(extra.errorString, "")
    }

    function test_elementsCreatedDuringTheOutage() {
        const system = createOpen(test.uniqueName("queue"))
        loseForAWhile(system)
        const queue = create(queues, { connection: system, exclusive: true, durable: false })
        const consumer = create(consumers, { connection: system, queue: queue })
        recover(system)
        tryCompare(consumer, "subscribed", true, 30000)
        compare(consumer.queueName, queue.declaredName)
    }

    function test_passiveElementsCheckAgain() {
        const other = create(others)
        const name = test.uniqueName("passive")
        const owner = create(queues, { connection: other, name: name, durable: false, arguments: { "x-expires": 60000 } })
        tryCompare(owner, "declaredName", name, 30000)
        const system = createOpen(test.uniqueName("queue"))
        const queue = create(queues, { connection: system, name: name, passive: true })
        tryCompare(queue, "declaredName", name, 30000)
        const exchange = create(exchanges, { connection: system, name: test.uniqueName("none"), passive: true })
        tryVerify(() => exchange.errorString.includes("NOT_FOUND"), 30000)
        exchange.name = "amq.topic"
        tryCompare(exchange, "errorString", "", 30000)
        const checked = create(spies, { target: exchange, signalName: "declared" })
        loseForAWhile(system)
        owner.remove()
        tryCompare(owner, "declaredName", "", 30000)
        recover(system)
        tryVerify(() => queue.errorString.includes("NOT_FOUND"), 30000)
        compare(queue.declaredName, "")
        tryCompare(checked, "count", 1, 30000)
    }

    function test_queueThatSomebodyElseHasDeclaredDifferently() {
        const other = create(others)
        const system = createOpen(test.uniqueName("queue"))
        const name = test.uniqueName("shared")
        const shared = create(queues, { connection: system, name: name, durable: false, autoDelete: true,
                                        arguments: { "x-expires": 60000 } })
        const consumer = create(consumers, { connection: system, queue: shared })
        tryCompare(consumer, "subscribed", true, 30000)
        loseForAWhile(system)
        tryVerify(() => countsOf(other, name) === "NOT_FOUND", 30000) // when the broker has noticed the loss
        const theirs = create(queues, { connection: other, name: name, durable: false, arguments: { "x-expires": 60000 } })
        tryCompare(theirs, "declaredName", name, 30000)
        const report = recover(system)
        verify(!report.complete)
        verify(report.failures[0].includes(name), report.failures[0])
        verify(shared.errorString.includes("PRECONDITION_FAILED"), shared.errorString)
        compare(shared.declaredName, "")
        compare(consumer.subscribed, false)
        compare(publishAll(system, ["old"]), "0") // the others are restored
        compare(system.queue.errorString, "")
        tryVerify(() => countsOf(system, name) === "0", 30000)
    }

    function test_bindingWhoseExchangeIsMissingAfterTheOutage() {
        const other = create(others)
        const exchange = create(exchanges, { connection: other, name: test.uniqueName("theirs"), durable: false, autoDelete: true })
        const spy = create(spies, { target: exchange, signalName: "declared" })
        tryCompare(spy, "count", 1, 30000)
        const system = createOpen(test.uniqueName("queue"))
        const passive = create(exchanges, { connection: system, name: exchange.name, passive: true })
        const bound = create(boundQueues, { connection: system, exchange: passive, durable: false, exclusive: true })
        const consumer = create(consumers, { connection: system, queue: bound })
        const delivered = create(spies, { target: consumer, signalName: "delivered" })
        system.publisher.exchange = exchange.name
        tryVerify(() => publishAll(system, [""]) === "0", 30000)
        tryVerify(() => delivered.count > 0, 30000)
        const before = delivered.count
        loseForAWhile(system) // the auto-delete exchange loses its only binding
        const report = recover(system)
        verify(!report.complete)
        verify(report.failures.join().includes(exchange.name), report.failures.join())
        tryVerify(() => bound.binding.errorString.includes("NOT_FOUND"), 30000)
        exchange.autoDelete = false // declares it again
        tryCompare(bound.binding, "errorString", "", 60000)
        tryVerify(() => publishAll(system, [""]) === "0", 30000)
        tryVerify(() => delivered.count > before, 30000)
    }

    function test_messagesPublishedDuringTheOutageWaitForIt() {
        const system = createOpen(test.uniqueName("queue"))
        loseForAWhile(system)
        verify(!system.publisher.writable)
        system.settlements = []
        verify(system.publisher.publish("x", { routingKey: "new" }) > 0)
        system.binding.routingKey = "new"
        compare(system.publisher.outstanding, 1)
        recover(system)
        tryVerify(() => codes(system) === "0", 30000) // after the new binding
        tryCompare(system, "keys", ["new"], 30000)
    }

    function test_unconfirmedMessageIsPublishedAgain_data() {
        return [{ tag: "Report", policy: Publisher.Report, kind: Amqp.ErrorKind.Unconfirmed },
                { tag: "Republish", policy: Publisher.Republish, kind: Amqp.ErrorKind.NoError }]
    }
    function test_unconfirmedMessageIsPublishedAgain(data) {
        const system = createOpen(test.uniqueName("queue"))
        compare(system.publisher.lossPolicy, Publisher.Report)
        system.publisher.lossPolicy = data.policy
        const spy = create(spies, { target: system.publisher, signalName: "settled" })
        system.publisher.publish("x", { routingKey: "old" })
        test.cut() // before the answer is read
        tryCompare(spy, "count", 1, 30000)
        compare(spy.signalArguments[0][1].kind, data.kind)
        tryVerify(() => system.reports.length === 1 && system.publisher.outstanding === 0, 30000)
        compare(spy.count, 1)
    }

    function test_deliveriesThatNoHandlerHasSeenComeOnce() {
        const system = createOpen(test.uniqueName("queue"))
        const shared = create(queues, { connection: system, name: test.uniqueName("shared"), durable: false,
                                        arguments: { "x-expires": 60000 } })
        const consumer = create(consumers, { connection: system, queue: shared, paused: true })
        const delivered = create(spies, { target: consumer, signalName: "delivered" })
        tryCompare(consumer, "subscribed", true, 30000)
        system.publisher.exchange = ""
        compare(publishAll(system, [shared.name, shared.name]), "0,0")
        tryCompare(consumer, "unackedCount", 2, 30000)
        test.cut()
        tryVerify(() => system.reports.length === 1, 30000)
        tryCompare(consumer, "unackedCount", 2, 30000)
        consumer.paused = false
        tryCompare(consumer, "unackedCount", 0, 30000)
        compare(delivered.count, 2)
    }

    function test_bannerTellsTheReasonAndCountsDown() {
        const connection = createActive({ url: test.unreliableUrl() }, { calmAfter: 0, initialDelay: 8000, maximumDelay: 8000 })
        tryCompare(connection, "connected", true, 30000)
        compare(connection.bannerText, "")
        compare(connection.nextAttemptIn, -1)
        test.setReachable(false)
        tryVerify(() => /^The connection to 127\.0\.0\.1 is lost: .*[^.:]\. Next attempt in \d s\.$/.test(connection.bannerText), 30000)
        verify(connection.bannerText.includes("in " + connection.nextAttemptIn + " s."), connection.bannerText)
        verify(connection.delays[0] >= 200 && connection.delays[0] <= 8000)
        tryVerify(() => connection.countdown.join().includes("3,2,1,-1"), 60000) // -1 during the attempt
        const expected = connection.countdown.filter(seconds => seconds > 0).length
        verify(connection.banners.filter(text => text.includes("Next attempt in")).length >= expected)
        verify(connection.banners.some(text => text.endsWith("Connecting again …")), connection.banners.join())
        test.setReachable(true)
        connection.reconnect()
        tryCompare(connection, "bannerText", "", 30000)
        tryCompare(connection, "connected", true, 30000)
        compare(connection.nextAttemptIn, -1)
        compare(connection.log.join(), "opened,recovered")
    }

    function test_shortOutageHasNoBanner() {
        const connection = create(connections, { url: test.unreliableUrl(), active: true })
        tryCompare(connection, "connected", true, 30000)
        test.cut()
        tryCompare(connection, "state", Connection.Recovering, 30000)
        compare(connection.calmState, Connection.Open)
        tryVerify(() => connection.log.includes("recovered"), 30000)
        compare(connection.banners.length, 0)
    }

    function test_firstAttemptThatFailsIsFollowedByOthers() {
        const connection = createActive({ url: "amqp://guest:guest@127.0.0.1:1" }, { initialDelay: 30000, maximumDelay: 30000 })
        tryVerify(() => connection.bannerText.startsWith("There is no connection to 127.0.0.1: Connection refused. Next"), 30000)
        compare(connection.state, Connection.Recovering)
        connection.url = test.url // makes the attempt at once
        tryCompare(connection, "connected", true, 15000)
        compare(connection.log.join(), "opened")
        compare(connection.bannerText, "")
    }

    function test_parameterThatChangesDuringTheOutageIsUsedAtOnce() {
        const connection = createActive({ url: test.unreliableUrl() }, { initialDelay: 30000, maximumDelay: 30000 })
        tryCompare(connection, "connected", true, 30000)
        test.setReachable(false)
        tryVerify(() => connection.nextAttemptIn > 0, 30000)
        connection.url = test.url
        tryVerify(() => connection.connected && connection.log.join() === "opened,recovered", 15000)
    }

    function test_endIsTold_data() {
        return [
            { tag: "refused login", lost: false, properties: { password: "wrong" }, text: /^127\.0\.0\.1 refuses the login: .*ACCESS_REFUSED.*[^.]\.$/ },
            { tag: "invalid settings", lost: false, properties: { host: "" }, text: /^The settings of the connection are not valid: .*host.*\.$/ },
            { tag: "too many attempts", lost: true, properties: {}, text: /^The connection to 127\.0\.0\.1 has ended: Connection refused\.$/ }
        ]
    }
    function test_endIsTold(data) {
        const connection = createActive(Object.assign({ url: test.unreliableUrl() }, data.properties),
                                        { initialDelay: 200, maximumAttempts: 1 })
        if (data.lost) {
            tryCompare(connection, "connected", true, 30000)
            test.setReachable(false)
        }
        tryVerify(() => connection.log.includes("closed"), 30000)
        compare(connection.state, Connection.Closed)
        verify(data.text.test(connection.bannerText), connection.bannerText)
        compare(connection.nextAttemptIn, -1)
        connection.active = false
        compare(connection.bannerText, "")
    }

    function test_inactiveConnectionDoesNotRecover() {
        const connection = createActive({ url: test.unreliableUrl() }, { initialDelay: 200, maximumDelay: 200, calmAfter: 0 })
        tryCompare(connection, "connected", true, 30000)
        test.setReachable(false)
        tryVerify(() => connection.bannerText !== "", 30000)
        connection.active = false
        compare(connection.bannerText, "")
        tryCompare(connection, "state", Connection.Closed, 30000)
        compare(connection.nextAttemptIn, -1)
        compare(connection.reconnectAttempt, 0)
        test.setReachable(true)
        connection.active = true
        tryVerify(() => connection.log.join() === "opened,closed,opened", 30000)
    }

    function test_recoveryCanBeSwitchedOff() {
        const connection = createActive({ url: test.unreliableUrl() }, { enabled: false })
        tryCompare(connection, "connected", true, 30000)
        test.cut()
        tryVerify(() => connection.log.join() === "opened,closed", 30000)
        compare(connection.state, Connection.Closed)
        verify(connection.bannerText.startsWith("The connection to 127.0.0.1 has ended: "), connection.bannerText)
    }

    function test_policyOfAnOpenConnectionDoesNotCloseIt() {
        const connection = create(connections, { url: test.unreliableUrl(), active: true })
        tryCompare(connection, "connected", true, 30000)
        connection.recovery.maximumDelay = 2000
        wait(20)
        compare(connection.log.join(), "opened")
        ignoreWarning(/recovery.initialDelay: 100 is out of range; the minimum is 200/)
        connection.recovery.initialDelay = 100
        compare(connection.recovery.initialDelay, 1000)
        connection.recovery.maximumDelay = undefined
        compare(connection.recovery.maximumDelay, 30000)
    }
}
