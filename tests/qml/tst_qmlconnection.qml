// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

TestCase {
    id: testCase
    name: "Connection"
    when: windowShown

    Component {
        id: connections
        Connection {
            id: connection
            property var log: []
            onActiveChanged: log.push("active " + active)
            onConnectedChanged: log.push("connected " + connected)
            onOpened: log.push("opened")
            onClosed: reason => log.push("closed " + reason.text)
            onErrorOccurred: error => log.push("error " + error.replyCode)
        }
    }
    Component {
        id: spies
        SignalSpy {}
    }
    Component {
        id: badges
        StateBadge {}
    }

    function create(properties) {
        const connection = createTemporaryObject(connections, testCase, properties)
        verify(connection)
        return connection
    }
    function openOne() {
        const connection = create({ url: test.url, active: true })
        tryCompare(connection, "connected", true, 30000)
        return connection
    }

    function test_activeOpensAndCloses() {
        const connection = create({ url: test.url })
        compare(connection.state, Connection.Closed)
        compare(connection.stateText, "Not connected")
        connection.active = true
        tryCompare(connection, "state", Connection.Open, 30000)
        compare(connection.stateText, "Connected")
        compare(connection.serverProperties.product, "RabbitMQ")
        connection.active = false
        tryCompare(connection, "state", Connection.Closed, 30000)
        compare(connection.errorString, "")
        compare(connection.log.join(), "active true,connected true,opened,active false,connected false,closed ")
    }

    function test_openCloseAndReconnectAreFunctions() {
        const connection = create({ url: test.url })
        connection.open()
        verify(connection.active)
        tryCompare(connection, "connected", true, 30000)
        connection.reconnect()
        tryVerify(() => connection.log.filter(entry => entry === "opened").length === 2, 30000)
        verify(connection.connected)
        connection.close()
        verify(!connection.active)
        tryCompare(connection, "state", Connection.Closed, 30000)
    }

    function test_passwordDoesNotReadBack() {
        const connection = create({ url: "amqp://user:secret@broker.example:5673/place" })
        compare(connection.url.toString(), "amqp://user@broker.example:5673/place")
        compare(connection.urls[0], "amqp://user@broker.example:5673/place")
        compare(connection.userName, "user")
        compare(connection.password, "")
        compare(connection.host, "broker.example")
        compare(connection.port, 5673)
        compare(connection.virtualHost, "place")
    }

    function test_namedParametersWinWhateverTheOrder() {
        const connection = create({ host: "other.example", port: 1234, heartbeat: 7, connectionName: "me",
                                    clientProperties: { a: 1 }, virtualHost: "v", userName: "u", password: "p" })
        connection.url = "amqp://user:secret@broker.example:5673/place"
        compare(connection.host, "other.example")
        compare(connection.port, 1234)
        compare(connection.heartbeat, 7)
        compare(connection.connectionName, "me")
        compare(connection.clientProperties.a, 1)
        compare(connection.virtualHost, "v")
        compare(connection.userName, "u")
    }

    function test_newUrlConnectsAgain() {
        const connection = openOne()
        connection.url = connection.url // an editor that was not changed does the same, and has no password
        connection.url = test.url + "?heartbeat=17"
        tryVerify(() => connection.log.filter(entry => entry === "opened").length === 2, 30000)
        compare(connection.heartbeat, 17)
    }

    function test_severalChangesConnectOnce() {
        const connection = openOne()
        connection.connectionName = "a"
        connection.heartbeat = 18
        tryVerify(() => connection.log.filter(entry => entry === "opened").length === 2, 30000)
        wait(50)
        compare(connection.log.filter(entry => entry === "opened").length, 2)
    }

    function test_urlsAreTriedInTurn() {
        const connection = create({ urls: ["amqp://guest:guest@127.0.0.1:1/%2F", test.url], active: true })
        tryCompare(connection, "connected", true, 30000)
    }

    function test_wrongUrlIsAnErrorForPeople() {
        const connection = create({ url: "amqp://user:secret@broker.example:0/", active: true })
        tryVerify(() => connection.errorString !== "", 30000)
        verify(connection.errorString.includes("port"), connection.errorString)
        verify(!connection.errorString.includes("secret"), connection.errorString)
        compare(connection.state, Connection.Closed)
        verify(connection.stateText.includes(connection.errorString), connection.stateText)
        compare(connection.error.kind, Amqp.ErrorKind.InvalidArgument)
        verify(connection.active)
        connection.url = test.url // the wanted state has not changed
        tryCompare(connection, "connected", true, 30000)
        compare(connection.errorString, "")
    }

    function test_rejectedLoginIsAReadableError() {
        const connection = create({ url: test.url, password: "wrong", active: true })
        tryVerify(() => connection.errorString.includes("ACCESS_REFUSED"), 30000)
        compare(connection.error.kind, Amqp.ErrorKind.Authentication)
        connection.password = "guest"
        tryCompare(connection, "connected", true, 30000)
    }

    function test_invalidValuesPreventConnecting_data() {
        return [
            { tag: "empty host", name: "host", bad: "", good: test.host, place: "host" },
            { tag: "port 0", name: "port", bad: 0, good: test.port, place: "port" },
            { tag: "negative port", name: "port", bad: -1, good: test.port, place: "port" },
            { tag: "large port", name: "port", bad: 70000, good: test.port, place: "port" },
            { tag: "negative heartbeat", name: "heartbeat", bad: -2, good: 10, place: "heartbeat" },
            { tag: "long virtual host", name: "virtualHost", bad: "v".repeat(256), good: "/", place: "virtualHost" },
            { tag: "NUL in the password", name: "password", bad: "gu\0est", good: "guest", place: "credentials" },
            { tag: "NUL in the name", name: "userName", bad: "gu\0est", good: "guest", place: "credentials" },
            { tag: "no urls", name: "urls", bad: [], good: [test.url], place: "endpoints" },
            { tag: "empty url", name: "url", bad: "", good: test.url, place: "URL" },
            { tag: "port 0 in the url", name: "url", bad: "amqp://127.0.0.1:0", good: test.url, place: "port" }
        ]
    }
    function test_invalidValuesPreventConnecting(data) {
        const connection = openOne()
        connection[data.name] = data.bad
        tryCompare(connection, "state", Connection.Closed, 30000)
        tryVerify(() => connection.errorString.includes(data.place), 30000, connection.errorString)
        compare(connection.error.kind, Amqp.ErrorKind.InvalidArgument)
        connection.connectionName = "another" // connects again, with the same result
        tryVerify(() => connection.log.filter(entry => entry.startsWith("closed")).length === 3, 30000)
        compare(connection.error.kind, Amqp.ErrorKind.InvalidArgument)
        connection[data.name] = data.good
        tryCompare(connection, "connected", true, 30000)
        compare(connection.errorString, "")
    }

    function test_urlWithAnotherPasswordOnlyConnectsAgain() {
        const connection = openOne()
        connection.url = test.url.replace("guest:guest", "guest:wrong")
        tryVerify(() => connection.errorString.includes("ACCESS_REFUSED"), 30000)
        connection.url = test.url
        tryCompare(connection, "connected", true, 30000)
    }

    function test_oneUrlReplacesSeveral() {
        const connection = create({ urls: ["amqp://a.example/", "amqp://b.example/"] })
        connection.url = connection.url
        compare(connection.urls.length, 1)
    }

    function test_statisticsCountBytes() {
        const connection = openOne()
        const spy = createTemporaryObject(spies, testCase, { target: connection.statistics, signalName: "changed" })
        tryVerify(() => connection.statistics.bytesIn > 100 && connection.statistics.bytesOut > 100, 30000)
        verify(spy.count > 0)
        compare(connection.statistics.messagesIn, 0)
    }

    function test_badgeShowsStateInColourAndWords() {
        const connection = create({ url: test.url })
        const badge = createTemporaryObject(badges, testCase, { connection: connection })
        compare(badge.text, "Not connected")
        const closed = badge.color.toString()
        verify(badge.implicitWidth > 20)
        connection.active = true
        tryCompare(badge, "text", "Connected", 30000)
        verify(badge.color.toString() !== closed)
        connection.destroy()
        tryCompare(badge, "text", "")
    }

    function test_destroyedInItsOwnHandler() {
        const connection = create({ url: test.url })
        connection.opened.connect(() => connection.destroy())
        connection.active = true
        tryVerify(() => !connection.toString || connection.toString() === "null" || connection.state === undefined, 30000)
    }
}
