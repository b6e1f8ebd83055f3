// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// Shows an outcome for some seconds, without taking the keyboard focus.
Popup {
    id: toast

    property bool success: true
    property string text

    function show(success: bool, text: string) {
        toast.success = success
        toast.text = text
        open()
        timer.restart()
    }

    x: Math.round((parent.width - width) / 2)
    y: parent.height - height - Theme.large
    width: Math.min(implicitWidth, parent.width - 2 * Theme.large)
    padding: Theme.medium
    closePolicy: Popup.NoAutoClose
    focus: false

    Timer { id: timer; interval: toast.success ? 2500 : 6000; onTriggered: toast.close() }

    enter: Transition { NumberAnimation { property: "opacity"; from: 0; to: 1; duration: Theme.duration } }
    exit: Transition { NumberAnimation { property: "opacity"; to: 0; duration: Theme.duration } }
    background: Rectangle { radius: Theme.radius; color: Theme.inverse }
    contentItem: RowLayout {
        spacing: Theme.medium
        Accessible.role: Accessible.AlertMessage
        Accessible.name: toast.text
        Icon {
            name: toast.success ? "check" : "alert"
            color: toast.success ? Theme.inverseGood : Theme.inverseBad
        }
        Label {
            Layout.fillWidth: true
            text: toast.text
            textFormat: Text.PlainText
            color: Theme.inverseText
            font.pixelSize: Theme.body
            wrapMode: Text.Wrap
        }
    }
}
