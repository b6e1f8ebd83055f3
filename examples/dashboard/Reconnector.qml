// SPDX-License-Identifier: MIT
import QtQuick
import AmqpQt

// Reconnects after a failure: after 1 s, then 2, 4, … up to 30. A refused login is final until the settings change.
Timer {
    id: timer

    required property Connection connection
    property int attempts: 0        // failed attempts in a row
    property int secondsLeft: 0     // until the next attempt; 0 if none is scheduled

    function connectNow() {
        stop()
        secondsLeft = 0
        connection.reconnect()
    }
    function reset() {
        stop()
        attempts = 0
        secondsLeft = 0
    }

    interval: 1000
    repeat: true
    onTriggered: if (--secondsLeft <= 0) connectNow()

    readonly property Connections watcher: Connections {
        target: timer.connection
        function onOpened() { timer.reset() }
        function onActiveChanged() { timer.reset() }
        function onParametersChanged() { timer.reset() } // the connection uses the new parameters by itself
        function onClosed(reason) {
            if (!timer.connection.active || reason.kind === Amqp.ErrorKind.NoError)
                return
            if (reason.kind === Amqp.ErrorKind.Authentication || reason.kind === Amqp.ErrorKind.InvalidArgument)
                return timer.reset()
            timer.secondsLeft = Math.min(30, 1 << Math.min(timer.attempts++, 5))
            timer.restart()
        }
    }
}
