// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// A published message and its outcome. A click copies the message back into the form.
ItemDelegate {
    id: item

    required property string key
    required property string body
    required property string status
    required property string note

    readonly property color tone: status === "check" ? Theme.good : status === "close" ? Theme.bad : Theme.muted
    readonly property string outcome: status === "check" ? qsTr("confirmed") : status === "close" ? qsTr("failed") : qsTr("on its way")

    implicitHeight: 44
    leftPadding: Theme.tiny
    rightPadding: Theme.tiny
    topPadding: Theme.tiny
    bottomPadding: Theme.tiny
    Accessible.name: qsTr("%1: %2 %3").arg(key).arg(outcome).arg(note)
    background: Rectangle {
        radius: Theme.small
        color: item.hovered || item.visualFocus ? Theme.raised : "transparent"
    }
    contentItem: RowLayout {
        spacing: Theme.small
        Icon { name: item.status || "wait"; color: item.tone }
        ColumnLayout {
            spacing: 0
            Label {
                Layout.fillWidth: true
                text: item.key
                textFormat: Text.PlainText
                color: Theme.text
                font.pixelSize: Theme.body
                elide: Text.ElideRight
            }
            Caption { Layout.fillWidth: true; text: item.status === "close" ? item.note : item.body }
        }
        Caption {
            visible: item.status !== "close"
            text: item.note || item.outcome
            color: item.tone
        }
    }
}
