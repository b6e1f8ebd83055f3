// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

// Values that are converted from JavaScript to AMQP and back.
TestCase {
    id: testCase
    name: "Values"
    when: windowShown

    Component {
        id: systems
        Connection {
            id: system
            property alias queue: queue
            property alias consumer: consumer
            property alias publisher: publisher
            property alias model: model
            property alias latest: latest
            property var messages: []

            url: test.url
            active: true
            Queue { id: queue }
            Consumer { id: consumer; queue: queue; ackMode: Amqp.AfterDelivery; onDelivered: message => system.messages.push(message) }
            Publisher { id: publisher; routingKey: queue.declaredName }
            readonly property MessageModel shown: MessageModel {
                id: model
                consumer: consumer
                updateInterval: 1
                columns: ["headers.large", "headers.price", "json.id", "headers.list", "json"]
            }
            readonly property LatestValueModel latestShown: LatestValueModel {
                id: latest
                consumer: consumer
                updateInterval: 1
                keyColumn: "headers.price"
                columns: ["headers.large"]
            }
        }
    }
    Component { id: connections; Connection {} }
    Component { id: queues; Queue {} }
    Component { id: exchanges; Exchange {} }
    Component { id: bindings; Queue { property alias binding: binding; QueueBinding { id: binding; exchangeName: "amq.topic" } } }
    Component { id: consumers; Consumer { connection: null } }
    Component { id: publishers; Publisher { connection: null } }
    Component { id: messageModels; MessageModel {} }
    Component { id: latestModels; LatestValueModel {} }
    Component { id: histories; RateHistory {} }

    function createOpen() {
        const system = createTemporaryObject(systems, testCase)
        tryVerify(() => system.publisher.writable && system.consumer.subscribed, 30000)
        return system
    }
    function roundTrip(system, body, options) {
        const count = system.messages.length
        verify(system.publisher.publish(body, options) > 0, system.publisher.errorString)
        tryVerify(() => system.messages.length === count + 1, 30000)
        return system.messages[count]
    }
    function bytesOf(buffer) { return Array.from(new Uint8Array(buffer)).join() }

    function test_headerTypes() {
        const system = createOpen()
        const cases = [
            ["int", 0], ["int", -0], ["int", 5], ["int", 2.5 * 2], ["int", 2147483647], ["int", -2147483648],
            ["qlonglong", 2147483648], ["qlonglong", -2147483649], ["qlonglong", 2592000000], ["qlonglong", Date.now()],
            ["qlonglong", 2 ** 53], ["qlonglong", 2 ** 62], ["qlonglong", -(2 ** 63)],
            ["double", 2 ** 63], ["double", 1e300], ["double", 0.5], ["double", -2147483648.5],
            ["bool", true], ["QString", "text"], ["std::nullptr_t", null], ["QDateTime", new Date(1000)],
            ["QByteArray", new ArrayBuffer(3)], ["QByteArray", new Uint8Array([1, 2])], ["QByteArray", new Float64Array(2)],
            ["QByteArray", new DataView(new ArrayBuffer(4), 1, 2)], ["QString", Qt.resolvedUrl("a.qml")],
            ["QVariantList", [1]], ["QVariantMap", { a: 1 }], ["int", new Number(4)], ["QString", new String("x")]]
        const headers = { list: cases.map(one => one[1]), nested: { list: [{ number: 4294967296 }] } }
        cases.forEach((one, index) => headers["h" + index] = one[1])
        const message = roundTrip(system, "x", { headers: headers })
        cases.forEach((one, index) => {
            compare(test.headerType(message, "h" + index), one[0], "" + one[1])
            compare(test.headerType(message, "list." + index), one[0], "in a list: " + one[1])
        })
        compare(test.headerType(message, "nested.list.0.number"), "qlonglong")
        compare(message.headers.nested.list[0].number, 4294967296)
    }

    function test_viewsInHeadersKeepTheirOffset() {
        const bytes = new Uint8Array([1, 2, 3, 4, 5]).buffer
        const message = roundTrip(createOpen(), "x", { headers: { array: new Uint8Array(bytes, 1, 3), view: new DataView(bytes, 2),
            shorts: new Uint16Array(bytes, 2, 1), none: new Uint8Array(0) } })
        compare(bytesOf(message.headers.array), "2,3,4")
        compare(bytesOf(message.headers.view), "3,4,5")
        compare(bytesOf(message.header("shorts")), "3,4")
        compare(message.headers.none.byteLength, 0)
    }

    function test_tablesOfElements_data() {
        return [{ tag: "queue", component: queues, property: "arguments" },
                { tag: "exchange", component: exchanges, property: "arguments" },
                { tag: "consumer", component: consumers, property: "arguments" },
                { tag: "connection", component: connections, property: "clientProperties" }]
    }
    function test_tablesOfElements(data) {
        const properties = data.component === queues || data.component === exchanges ? { connection: null } : {}
        const element = createTemporaryObject(data.component, testCase, properties)
        checkTable(element, data.property)
    }
    function test_tableOfABinding() {
        ignoreWarning(/There is no connection/)
        checkTable(createTemporaryObject(bindings, testCase, { connection: null }).binding, "arguments")
    }
    function checkTable(element, property) {
        element[property] = { large: 2592000000, nested: { list: [-4294967296, undefined, 1.0] }, absent: undefined, half: 0.5,
                              bytes: new Uint8Array([1]) }
        compare(test.memberType(element, property, "large"), "qlonglong")
        compare(test.memberType(element, property, "nested.list.0"), "qlonglong")
        compare(test.memberType(element, property, "nested.list.1"), "std::nullptr_t")
        compare(test.memberType(element, property, "nested.list.2"), "int")
        compare(test.memberType(element, property, "half"), "double")
        compare(test.memberType(element, property, "bytes"), "QByteArray")
        compare(Object.keys(element[property]).sort().join(), "bytes,half,large,nested")
        ignoreWarning(/: the value is not an object with names and values/)
        element[property] = 5
        compare(element[property].large, 2592000000)
        element[property] = undefined
        compare(Object.keys(element[property]).length, 0)
    }

    function test_largeArgumentsReachTheBroker() {
        const system = createOpen()
        const queue = createTemporaryObject(queues, system, { connection: system, exclusive: true, messageTtl: 3000000000,
            maximumLength: 4294967296, arguments: { "x-expires": 2592000000 } })
        tryVerify(() => queue.declaredName || queue.errorString, 30000)
        compare(queue.errorString, "")
        compare(queue.messageTtl, 3000000000)
        compare(queue.maximumLength, 4294967296)
        queue.messageTtl = undefined
        compare(queue.messageTtl, -1)
        for (const wrong of [-1, 0.5, NaN, Infinity, 1e300]) {
            ignoreWarning(/messageTtl: .* is (not a whole number|out of range; the range is 0 to 2.53)/)
            queue.messageTtl = wrong
            compare(queue.messageTtl, -1)
        }
    }

    function test_valuesWithoutATypeAreRejectedByName_data() {
        const cyclic = {}
        cyclic.self = cyclic
        return [{ tag: "NaN", value: NaN, text: "NaN" }, { tag: "infinity", value: -Infinity, text: "infinities" },
                { tag: "function", value: () => 1, text: "JavaScript::Function" }, { tag: "symbol", value: Symbol("x"), text: "JavaScript::Symbol" },
                { tag: "map", value: new Map([[1, 2]]), text: "JavaScript::Map" }, { tag: "set", value: new Set([1]), text: "JavaScript::Set" },
                { tag: "error", value: new Error("x"), text: "JavaScript::Error" },
                { tag: "promise", value: new Promise(() => 1), text: "JavaScript::Promise" },
                { tag: "element", value: testCase, text: "*" }, { tag: "expression", value: /x/, text: "QRegularExpression" },
                { tag: "cyclic", value: cyclic, text: "JavaScript::CyclicObject" }]
    }
    function test_valuesWithoutATypeAreRejectedByName(data) {
        const system = createOpen()
        ignoreWarning(/QML Publisher: /)
        compare(system.publisher.publish("x", { headers: { outer: [1, { inner: data.value }] } }), 0)
        verify(system.publisher.errorString.includes("outer[1].inner"), system.publisher.errorString)
        verify(system.publisher.errorString.includes(data.text), system.publisher.errorString)
        const exchange = createTemporaryObject(exchanges, system, { connection: null, name: test.uniqueName("refused") })
        exchange.arguments = { wrong: data.value }
        ignoreWarning(/QML Exchange: /)
        exchange.connection = system
        tryVerify(() => exchange.errorString.includes(data.text), 30000)
    }

    function test_deepObjectsAreRejected() {
        const publisher = createTemporaryObject(publishers, testCase)
        let object = {}
        let list = []
        for (let i = 0; i < 100000; ++i) {
            object = { a: object }
            list = [list]
        }
        for (const options of [{ headers: object }, { headers: { list: list } }]) {
            ignoreWarning(/QML Publisher: /)
            compare(publisher.publish("x", options), 0)
        }
        for (const body of [object, list]) {
            ignoreWarning(/The body cannot be sent: RangeError/)
            compare(publisher.publish(body), 0)
        }
    }

    function test_undefinedOptionIsNotGiven_data() {
        return ["exchange", "routingKey", "mandatory", "persistent", "expiration", "priority", "headers", "contentType",
                "contentEncoding", "correlationId", "replyTo", "messageId", "timestamp", "type", "userId", "appId", "clusterId",
                "body", "noSuchOption"].map(name => ({ tag: name, name: name }))
    }
    function test_undefinedOptionIsNotGiven(data) {
        const system = createOpen()
        const given = roundTrip(system, "text")
        const undefinedGiven = roundTrip(system, "text", { [data.name]: undefined })
        for (const name of ["routingKey", "persistent", "priority", "contentType", "contentEncoding", "correlationId", "replyTo",
                            "messageId", "type", "userId", "appId", "clusterId", "text"])
            compare(undefinedGiven[name], given[name], name)
        compare(Object.keys(undefinedGiven.headers).length, 0)
        verify(isNaN(undefinedGiven.timestamp.getTime()))
        system.publisher.publishWithReply("text", { [data.name]: undefined })
        tryCompare(system.messages, "length", 3, 30000)
    }
    function test_undefinedOptionsAreNone() {
        const system = createOpen()
        compare(roundTrip(system, "text", undefined).text, "text")
        for (const options of [5, "text", [1], () => 1]) {
            ignoreWarning(/QML Publisher: The options must be an object/)
            compare(system.publisher.publish("text", options), 0)
        }
    }
    function test_undefinedHeaderIsLeftOut() {
        const message = roundTrip(createOpen(), "x", { headers: { a: undefined, b: { c: undefined, d: 1 }, e: [undefined, 2], f: null } })
        compare(JSON.stringify(message.headers), JSON.stringify({ b: { d: 1 }, e: [null, 2], f: null }))
    }
    function test_optionsOfWrongTypesAreRejected_data() {
        return [{ tag: "text for a bool", options: { persistent: "false" } }, { tag: "object for text", options: { routingKey: {} } },
                { tag: "list for headers", options: { headers: [1] } }, { tag: "half a priority", options: { priority: 0.5 } },
                { tag: "half an expiration", options: { expiration: 0.5 } }, { tag: "function", options: { type: () => 1 } },
                { tag: "object for a body", options: { body: {} } }]
    }
    function test_optionsOfWrongTypesAreRejected(data) {
        const publisher = createTemporaryObject(publishers, testCase)
        ignoreWarning(/The option \w+ is unknown or has an invalid value/)
        compare(publisher.publish("x", data.options), 0)
    }

    function test_undefinedPropertyIsNotSet_data() {
        const all = [
            { component: connections, values: { url: "amqp://other.invalid/x", urls: ["amqp://a.invalid", "amqp://b.invalid"],
                host: "other.invalid", port: 1234, virtualHost: "other", userName: "other", password: "other", heartbeat: 7,
                connectionName: "other", clientProperties: { a: 1 }, active: undefined } },
            { component: exchanges, values: { name: "other", type: Exchange.Topic, durable: false, autoDelete: true, internal: true,
                passive: true, arguments: { a: 1 }, connection: null } },
            { component: queues, values: { name: "other", durable: false, exclusive: false, autoDelete: true, passive: true,
                queueType: "quorum", messageTtl: 5, maximumLength: 5, deadLetterExchange: "other", arguments: { a: 1 } } },
            { component: consumers, values: { queueName: "other", active: false, paused: true, ackMode: Amqp.NoAck, prefetch: 5,
                exclusive: true, priority: 5, consumerTag: "other", arguments: { a: 1 }, dispatchInterval: 5,
                resubscribe: false } },
            { component: publishers, values: { exchange: "other", routingKey: "other", contentType: "other", persistent: false,
                mandatory: false, window: 5, outboxLimit: 3000000000 } },
            { component: messageModels, values: { maximumCount: 5, updateInterval: 5, paused: true, columns: ["text", "type"],
                filterRoutingKey: "a.*", consumer: null } },
            { component: latestModels, values: { keyColumn: "type", columns: ["type"], updateInterval: 5, maximumCount: 5, consumer: null } },
            { component: histories, values: { samples: 5, interval: 5, consumer: null } }]
        const rows = []
        for (const one of all) {
            for (const name in one.values)
                rows.push({ tag: one.component + name, component: one.component, name: name, value: one.values[name] })
        }
        return rows
    }
    function test_undefinedPropertyIsNotSet(data) {
        failOnWarning(/.?/)
        const element = createTemporaryObject(data.component, testCase,
                                              data.component === queues || data.component === exchanges ? { connection: null } : {})
        const first = JSON.stringify(element[data.name])
        element[data.name] = data.value
        if (data.value && data.name !== "password")
            verify(JSON.stringify(element[data.name]) !== first, "" + element[data.name])
        element[data.name] = undefined
        compare(JSON.stringify(element[data.name]), first)
    }

    function test_undefinedArgumentIsNotGiven() {
        const system = createOpen()
        system.consumer.ackMode = Amqp.Manual
        tryVerify(() => system.consumer.subscribed, 30000)
        const first = roundTrip(system, "text")
        first.nack(undefined) // back to the queue
        tryCompare(system.messages, "length", 2, 30000)
        verify(system.messages[1].redelivered)
        system.consumer.nack(system.messages[1], undefined)
        tryCompare(system.messages, "length", 3, 30000)
        compare(system.messages[2].json(undefined), undefined)
        compare(system.messages[2].header("none", undefined), undefined)
        system.messages[2].nack(Amqp.Requeue.No)
        tryCompare(system.consumer, "unackedCount", 0, 30000)
        const json = roundTrip(system, { a: 1 })
        compare(json.json(undefined).a, 1)
        compare(json.json().a, 1)
        json.nack(Amqp.Requeue.Yes)
        tryCompare(system.messages, "length", 5, 30000)
        system.consumer.reject(system.messages[4])
    }

    function test_viewsOfBytesAreBodies_data() {
        const bytes = new Uint8Array([1, 2, 255, 4, 5, 6, 7, 8]).buffer
        return [{ tag: "ArrayBuffer", body: bytes, bytes: "1,2,255,4,5,6,7,8" },
                { tag: "Uint8Array", body: new Uint8Array([1, 2, 255]), bytes: "1,2,255" },
                { tag: "a part", body: new Uint8Array(bytes, 1, 3), bytes: "2,255,4" },
                { tag: "subarray", body: new Uint8Array(bytes).subarray(6), bytes: "7,8" },
                { tag: "Int8Array", body: new Int8Array([-1]), bytes: "255" },
                { tag: "Uint8ClampedArray", body: new Uint8ClampedArray([300]), bytes: "255" },
                { tag: "Uint16Array", body: new Uint16Array(bytes, 2, 1), bytes: "255,4" },
                { tag: "Float64Array", body: new Float64Array(bytes), bytes: "1,2,255,4,5,6,7,8" },
                { tag: "DataView", body: new DataView(bytes), bytes: "1,2,255,4,5,6,7,8" },
                { tag: "part of a DataView", body: new DataView(bytes, 3, 2), bytes: "4,5" },
                { tag: "none", body: new Uint8Array(0), bytes: "" }, { tag: "no bytes", body: new ArrayBuffer(0), bytes: "" }]
    }
    function test_viewsOfBytesAreBodies(data) {
        const message = roundTrip(createOpen(), data.body)
        compare(bytesOf(message.body), data.bytes)
        compare(message.contentType, "")
    }

    function test_emptyBodyIsAnEmptyBuffer() {
        const system = createOpen()
        for (const body of ["", new ArrayBuffer(0)]) {
            const message = roundTrip(system, body)
            compare(message.body.byteLength, 0)
            compare(bytesOf(message.body), "")
        }
        compare(system.model.get(12345).body.byteLength, 0)
        compare(system.latest.get(12345).body.byteLength, 0)
        let returned = null
        system.publisher.returned.connect(message => returned = message)
        ignoreWarning(/NO_ROUTE/)
        system.publisher.publish("", { routingKey: test.uniqueName("nowhere") })
        tryVerify(() => returned !== null, 30000)
        compare(returned.body.byteLength, 0)
    }

    function test_messageIsForwarded() {
        const system = createOpen()
        const first = roundTrip(system, "text", { headers: { large: 2 ** 53, n: 1 }, correlationId: "c", contentType: "text/x", priority: 3,
            persistent: false })
        system.publisher.contentType = "text/y"
        const second = roundTrip(system, first)
        for (const name of ["text", "correlationId", "contentType", "contentEncoding", "priority", "persistent"])
            compare(second[name], first[name], name)
        compare(JSON.stringify(second.headers), JSON.stringify(first.headers))
        const third = roundTrip(system, first, { contentType: "text/z", persistent: true, headers: { m: 2 }, body: "other" })
        compare(third.contentType, "text/z")
        compare(third.persistent, true)
        compare(third.correlationId, "c")
        compare(third.text, "other")
        compare(JSON.stringify(third.headers), JSON.stringify({ m: 2 }))
        compare(first.text, "text") // a message is a value
    }

    function test_valuesThatJsonWouldLoseAreRejected_data() {
        return [{ tag: "Map", body: new Map([[1, 2]]) }, { tag: "Set", body: new Set([1]) }, { tag: "expression", body: /x/ },
                { tag: "Error", body: new Error("x") }, { tag: "Promise", body: new Promise(() => 1) }, { tag: "element", body: testCase },
                { tag: "bytes inside", body: { data: [new Uint8Array(1)] } }, { tag: "buffer inside", body: { data: new ArrayBuffer(1) } },
                { tag: "view inside", body: [new DataView(new ArrayBuffer(1))] }, { tag: "Map inside", body: [new Map()] },
                { tag: "function", body: () => 1 }, { tag: "symbol", body: Symbol("x") }]
    }
    function test_valuesThatJsonWouldLoseAreRejected(data) {
        const publisher = createTemporaryObject(publishers, testCase)
        ignoreWarning(/The body cannot be sent/)
        compare(publisher.publish(data.body), 0)
        verify(publisher.errorString.includes("The body cannot be sent"))
    }
    function test_jsonIsThatOfJavaScript() {
        const system = createOpen()
        for (const body of [{ a: [1, "b", null, true, { c: 0.5 }], d: new Date(0), e: undefined }, [undefined, () => 1], 5, null, "".split("")])
            compare(roundTrip(system, body).text, JSON.stringify(body))
    }

    function test_numbersHaveAllTheirDigits() {
        const system = createOpen()
        test.publishLargeNumbers(system, system.queue.declaredName)
        tryCompare(system.messages, "length", 1, 30000)
        const message = system.messages[0]
        compare(message.headers.large, "9007199254740993")
        compare(message.header("low"), "-9007199254740993")
        compare(message.headers.largest, "9223372036854775807")
        compare(message.headers.exact, 9007199254740992)
        compare(message.headers.list[0], "9007199254740993")
        compare(message.json("id"), "9007199254740993")
        compare(message.json().ids[0], "-9007199254740993")
        compare(message.headers.bytes.byteLength, 0)
        tryCompare(system.model, "count", 1, 30000)
        const cell = column => system.model.data(system.model.index(0, column))
        compare(cell(0), "9007199254740993")
        compare(cell(2), "9007199254740993")
        verify(cell(3).includes("9007199254740993"))
        verify(cell(4).includes("\"id\":9007199254740993"))
        tryCompare(system.latest, "count", 1, 30000)
        compare(system.latest.data(system.latest.index(0, 0)), "9007199254740993")
    }

    function test_decimalsCanBeRead() {
        const system = createOpen()
        test.publishLargeNumbers(system, system.queue.declaredName)
        tryCompare(system.messages, "length", 1, 30000)
        const price = system.messages[0].headers.price
        compare(price.toDouble(), 12.3)
        compare(price.toString(), "12.30")
        compare("" + price, "12.30")
        compare(Number(system.messages[0].header("price")), 12.3)
        compare(price.scale, 2)
        compare(price.value, 1230)
        tryCompare(system.model, "count", 1, 30000)
        compare(system.model.data(system.model.index(0, 1)), "12.30")
        const again = roundTrip(system, "x", { headers: { price: price, list: [price] } })
        compare(test.headerType(again, "price"), "AmqpQt::Decimal")
        compare(test.headerType(again, "list.0"), "AmqpQt::Decimal")
    }
}
