// SPDX-License-Identifier: MIT
#include <QtCore/qdiriterator.h>
#include <QtCore/qfile.h>
#include <QtCore/qregularexpression.h>
#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;

namespace
{

// Replaces comments by spaces, so that they may mention names that the code must not use.
QString withoutComments(QString source)
{
    static const QRegularExpression comment(u"/\\*.*?\\*/|//[^\\n]*"_s, QRegularExpression::DotMatchesEverythingOption);
    return source.replace(comment, u" "_s);
}

// Returns the operand of #include in each of the lines, with its quotes or brackets.
QStringList includesOf(const QString &source)
{
    static const QRegularExpression include(u"^[ \\t]*#[ \\t]*include[ \\t]+([\"<][^\">]+[\">])"_s,
                                            QRegularExpression::MultilineOption);
    QStringList result;
    for (const QRegularExpressionMatch &match : include.globalMatch(source))
        result += match.captured(1);
    return result;
}

const QString standardHeader = u"<[a-z0-9_]+>"_s;
const QString qtCore = u"<QtCore/[a-z0-9]+\\.h>"_s;
const QString qtNetwork = u"<QtNetwork/[a-z0-9]+\\.h>"_s;
const QString certificateHeaders = u"<QtNetwork/qssl(certificate|error)\\.h>"_s;
const QString systemSockets = u"<sys/(socket|uio)\\.h>"_s;
const QString baseHeaders =
    u"<AmqpQt/(amqpqt_export|error|fieldtable|global|options|reply|version)\\.h>|\"base/[a-z0-9_]+\\.h\""_s;
const QString wireHeaders = u"\"wire/[a-z0-9_]+\\.h\""_s;
const QString engineHeaders = u"\"engine/([a-z]+/)?[a-z0-9_]+\\.h\""_s;
const QString transportHeaders = u"\"transport/[a-z0-9_]+\\.h\""_s;
const QString clientHeaders = u"\"client/([a-z]+/)?[a-z0-9_]+\\.h\"|\"moc_[a-z0-9_]+\\.cpp\""_s;
const QString modelHeaders = u"\"models/[a-z0-9_]+\\.h\""_s;
const QString publicHeaders = u"<AmqpQt/[a-z0-9_]+\\.h>"_s;

// Returns the headers that a folder may include, as in the picture in src/CMakeLists.txt.
QStringList mayInclude(const QString &folder)
{
    static const QHash<QString, QStringList> rules{
        {u"include/AmqpQt"_s, {standardHeader, qtCore, certificateHeaders, publicHeaders}},
        {u"src/base"_s, {standardHeader, qtCore, baseHeaders}},
        {u"src/wire"_s, {standardHeader, qtCore, baseHeaders, wireHeaders}},
        {u"src/engine"_s, {standardHeader, qtCore, baseHeaders, wireHeaders, engineHeaders}},
        {u"src/transport"_s, {standardHeader, qtCore, qtNetwork, systemSockets, baseHeaders, transportHeaders}},
        {u"src/client"_s,
         {standardHeader, qtCore, qtNetwork, baseHeaders, wireHeaders, engineHeaders, transportHeaders, clientHeaders,
          publicHeaders}},
        // One header of the client layer is allowed, because its functions use only the public API.
        {u"src/models"_s,
         {standardHeader, qtCore, modelHeaders, publicHeaders, u"\"client/message/messagebody_p\\.h\""_s}},
        {u"qml"_s,
         {standardHeader, qtCore, certificateHeaders, u"<QtQml/[a-z0-9]+\\.h>"_s, u"<QtQuick/[a-z0-9]+\\.h>"_s,
          publicHeaders, u"\"[a-z0-9]+\\.h\""_s}},
    };
    return rules.value(folder);
}

// Identifiers that code without I/O, clock and event loop must not use.
const QString ioClockAndLoop =
    u"\\b(Q_OBJECT|Q_GADGET|Q_NAMESPACE|QObject|QTimer|QBasicTimer|QElapsedTimer|QDeadlineTimer|QThread|QEventLoop"
    u"|QCoreApplication|QDateTime::current\\w+|now(?=\\s*\\(\\s*\\)))\\b"_s;

QStringList faultsOf(const QString &folder, const QString &source)
{
    QStringList faults;
    const QString code = withoutComments(source);
    const QString pattern = mayInclude(folder).join(u'|');
    const QRegularExpression allowed(QRegularExpression::anchoredPattern(pattern));
    for (const QString &include : includesOf(code)) {
        if (!allowed.match(include).hasMatch())
            faults += "#include "_L1 + include;
    }
    if (folder == "src/wire"_L1 || folder == "src/engine"_L1) {
        static const QRegularExpression forbidden(ioClockAndLoop);
        for (const QRegularExpressionMatch &match : forbidden.globalMatch(code))
            faults += match.captured();
    }
    return faults;
}

} // namespace

class tst_Layers : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void rulesFindFaults_data();
    void rulesFindFaults();
    void filesKeepToTheirLayer_data();
    void filesKeepToTheirLayer();
    void wireAndEngineHaveNoMetaObjects();
};

void tst_Layers::rulesFindFaults_data()
{
    QTest::addColumn<QString>("folder");
    QTest::addColumn<QString>("source");
    QTest::addColumn<QStringList>("faults");

    const auto row = [](const char *name, const QString &folder, const QString &source, const QStringList &faults) {
        QTest::newRow(name) << folder << source << faults;
    };
    row("base does not see wire", u"src/base"_s, u"#include \"wire/codec_p.h\"\n"_s,
        {u"#include \"wire/codec_p.h\""_s});
    row("base does not see messages", u"src/base"_s, u"#include <AmqpQt/message.h>\n"_s,
        {u"#include <AmqpQt/message.h>"_s});
    row("wire does not see engine", u"src/wire"_s, u"#include <vector>\n#  include \"engine/event_p.h\"\n"_s,
        {u"#include \"engine/event_p.h\""_s});
    row("engine has no sockets", u"src/engine"_s, u"#include <sys/socket.h>\n"_s, {u"#include <sys/socket.h>"_s});
    row("transport has sockets", u"src/transport"_s, u"#include <sys/socket.h>\n"_s, {});
    row("wire has no network", u"src/wire"_s, u"#include <QtNetwork/qtcpsocket.h>\n"_s,
        {u"#include <QtNetwork/qtcpsocket.h>"_s});
    row("engine does not see transport", u"src/engine"_s, u"#include \"transport/transport_p.h\""_s,
        {u"#include \"transport/transport_p.h\""_s});
    row("engine has no clock", u"src/engine"_s, u"auto t = std::chrono::steady_clock::now();"_s, {u"now"_s});
    row("engine does not ask for the time", u"src/engine"_s, u"f(QDateTime::currentDateTimeUtc()); Clock::now( );"_s,
        {u"QDateTime::currentDateTimeUtc"_s, u"now"_s});
    row("engine has no timers", u"src/engine"_s, u"class A : QObject { QTimer a; QElapsedTimer b; };"_s,
        {u"QObject"_s, u"QTimer"_s, u"QElapsedTimer"_s});
    row("transport does not see engine", u"src/transport"_s, u"#include \"engine/event_p.h\""_s,
        {u"#include \"engine/event_p.h\""_s});
    row("public API has certificates, but no sockets", u"include/AmqpQt"_s,
        u"#include <QtNetwork/qsslcertificate.h>\n#include <QtNetwork/qsslsocket.h>\n"_s,
        {u"#include <QtNetwork/qsslsocket.h>"_s});
    row("client has no user interface", u"src/client"_s, u"#include <QtGui/qimage.h>"_s,
        {u"#include <QtGui/qimage.h>"_s});
    row("client does not see models", u"src/client"_s, u"#include \"models/messagecolumn_p.h\""_s,
        {u"#include \"models/messagecolumn_p.h\""_s});
    row("models see public headers only", u"src/models"_s,
        u"#include <AmqpQt/consumer.h>\n#include \"models/topicfilter_p.h\"\n#include "
        u"\"client/consumer/consumer_p.h\"\n"
        "#include \"base/logging_p.h\"\n"_s,
        {u"#include \"client/consumer/consumer_p.h\""_s, u"#include \"base/logging_p.h\""_s});
    row("public headers have no private ones", u"include/AmqpQt"_s, u"#include \"base/secret_p.h\""_s,
        {u"#include \"base/secret_p.h\""_s});
    row("public headers name their folder", u"include/AmqpQt"_s, u"#include \"error.h\""_s,
        {u"#include \"error.h\""_s});
    row("headers of Qt name their module", u"src/client"_s, u"#include <QObject>"_s, {u"#include <QObject>"_s});

    row("comments may name anything", u"src/engine"_s, u"// QObject, now()\n/* QTimer\n#include <QObject>\n*/ int x;"_s,
        {});
    row("words are whole", u"src/engine"_s, u"void tick(Time now); bool isKnown(); int QObjectLike;"_s, {});
    row("points in time are values", u"src/engine"_s, u"std::chrono::steady_clock::time_point start;"_s, {});
    row("allowed", u"src/engine"_s,
        u"#include <AmqpQt/error.h>\n#include \"base/secret_p.h\"\n#include \"wire/codec_p.h\"\n"
        "#include \"engine/event_p.h\"\n#include <QtCore/qbytearray.h>\n#include <optional>\n"_s,
        {});
}

void tst_Layers::rulesFindFaults()
{
    QFETCH(QString, folder);
    QFETCH(QString, source);
    QTEST(faultsOf(folder, source), "faults");
}

void tst_Layers::filesKeepToTheirLayer_data()
{
    QTest::addColumn<QString>("folder");
    QTest::addColumn<QString>("path");
    const QString root = QStringLiteral(AMQPQT_SOURCE_DIR "/");
    for (const QString &folder : {u"include/AmqpQt"_s, u"src/base"_s, u"src/wire"_s, u"src/engine"_s,
                                  u"src/transport"_s, u"src/client"_s, u"src/models"_s, u"qml"_s}) {
        QDirIterator files(root + folder, {u"*.h"_s, u"*.cpp"_s}, QDir::Files, QDirIterator::Subdirectories);
        QVERIFY2(files.hasNext(), qPrintable(folder));
        while (files.hasNext()) {
            const QString path = files.next();
            QTest::newRow(qPrintable(path.sliced(root.size()))) << folder << path;
        }
    }
}

void tst_Layers::filesKeepToTheirLayer()
{
    QFETCH(QString, folder);
    QFETCH(QString, path);
    QFile file(path);
    QVERIFY(file.open(QIODevice::ReadOnly));
    QCOMPARE(faultsOf(folder, QString::fromUtf8(file.readAll())), QStringList());
}

void tst_Layers::wireAndEngineHaveNoMetaObjects()
{
    const QStringList layersWithMoc = QStringLiteral(AMQPQT_LAYERS_WITH_MOC).split(u',');
    QVERIFY(layersWithMoc.contains(u"client"_s));
    QVERIFY(!layersWithMoc.contains(u"wire"_s));
    QVERIFY(!layersWithMoc.contains(u"engine"_s));
}

QTEST_APPLESS_MAIN(tst_Layers)
#include "tst_layers.moc"
