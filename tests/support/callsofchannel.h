// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qfile.h>
#include <QtCore/qregularexpression.h>
#include <QtCore/qstringlist.h>

namespace AmqpQt::Test
{

// Returns the names of the functions that an application calls for their effect, sorted: all public functions of
// Channel in its header that are not const.
inline QStringList callsOfChannel()
{
    using namespace Qt::StringLiterals;
    QFile file(QStringLiteral(AMQPQT_SOURCE_DIR "/include/AmqpQt/channel.h"));
    if (!file.open(QIODevice::ReadOnly))
        qFatal("the header is missing");
    QString text = QString::fromUtf8(file.readAll());
    text.remove(QRegularExpression(u"//[^\\n]*"_s));
    const qsizetype begin = text.indexOf(u"class AMQPQT_EXPORT Channel "_s);
    text = text.sliced(begin, text.indexOf(u"Q_SIGNALS:"_s) - begin);
    static const QRegularExpression declaration(
        u"^    (?:\\w[\\w:<>*, ]*[ *])(\\w+)\\([^;]*\\)( const)?(?: override)?(?=;| \\{)"_s,
        QRegularExpression::MultilineOption);
    QStringList names;
    for (const QRegularExpressionMatch &match : declaration.globalMatch(text)) {
        if (match.captured(2).isEmpty())
            names += match.captured(1);
    }
    names.sort();
    names.removeDuplicates(); // overloads
    return names;
}

} // namespace AmqpQt::Test
